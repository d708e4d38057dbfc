"""What the screen shows while it happens."""

import sys
import time

COLOURS = {"phase": "1;36", "ok": "32", "bad": "1;31", "quiet": "2"}


class Timeline:
    def __init__(self, out=sys.stdout):
        self.out, self.start = out, time.monotonic()
        self.colour = out.isatty()

    def _paint(self, kind: str, text: str) -> str:
        return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self.colour else text

    def _print(self, text: str):
        print(text, file=self.out, flush=True)

    def phase(self, name: str, what: str):
        self._print("")
        self._print(self._paint("phase", f"{name:<10}") + " " + what)

    def note(self, what: str):
        at = f"{time.monotonic() - self.start:9.3f} s"
        self._print(self._paint("quiet", at) + f"   {what}")

    def effect(self, what: str, ms: float | None):
        """One observed effect, with its time at the right; None: it was not seen."""
        at = f"{time.monotonic() - self.start:9.3f} s"
        time_text = "not seen" if ms is None else f"{ms:,.1f} ms"
        painted = self._paint("bad" if ms is None else "ok", f"{time_text:>14}")
        self._print(self._paint("quiet", at) + f"   {what:<72}{painted}")

    def problem(self, what: str):
        self._print(self._paint("bad", f"{'':9}     {what}"))
