"""The receiver for Python, over the C ABI (mission_signals/ms.h), with ctypes alone.

    rx = mission_signals.Receiver(issuer="https://mas.example", client_id="rs", private_key_file="rs.pem")
    rx.on_effect("vault", ["revoked", "expired"], destroy)     # destroy(task) -> evidence
    rx.start()
    if not rx.check(mission_id): refuse()

No interpreter thread is blocked: ctypes lets go of the interpreter lock during every call, and takes
it again for a callback, which runs on a thread of the library. `resolve()` may thus wait in one
thread (or in asyncio, see `resolve_async`) while the others go on.

After os.fork() a receiver denies in the child, and is made anew there: prefork servers make
theirs in each worker.
"""
import asyncio
import ctypes
import ctypes.util
import os
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ABI_MAJOR = 0
OK, NOT_FOUND, DENIED, TIMEOUT = 0, 5, 6, 4
EFFECTS = {"suspended": 1, "resumed": 2, "completed": 3, "revoked": 4, "expired": 5, "superseded": 6, "cascaded": 7,
           "ended": 8, "scope_changed": 9, "stale": 10, "fresh": 11}
ENDS = ("completed", "revoked", "expired", "superseded", "cascaded", "ended")


class Error(Exception):
    """A call has failed; `code` is the ms_result."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Denied(Error):
    """hold(): the mission is not permitted right now."""


class _Answer(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("standing", c_int32), ("version", c_int64), ("cause", c_int32),
                ("reserved", c_uint32)]


class _Permission(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("standing", c_int32), ("version", c_int64), ("grant", c_int32),
                ("reserved", c_uint32)]


class _Task(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("why", c_int32), ("idempotency_key", c_char_p), ("mission_id", c_char_p),
                ("issuer", c_char_p), ("version", c_int64), ("name", c_char_p), ("data", c_void_p),
                ("data_length", c_size_t), ("attempt", c_uint32), ("reserved", c_uint32)]


class _TaskView(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("last", c_int32), ("task", POINTER(_Task)), ("handler", c_char_p),
                ("evidence", c_char_p), ("finished", c_int32), ("cancelled", c_int32), ("created_ms", c_int64),
                ("updated_ms", c_int64)]


class _HandlerOptions(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("on", c_uint32), ("name", c_char_p), ("per_mission", c_int32),
                ("concurrency", c_uint32), ("timeout_ms", c_int64), ("retry_first_ms", c_int64),
                ("retry_max_ms", c_int64)]


class _LogField(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class _Status(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("streaming", c_int32), ("stream_id", c_char_p), ("iss", c_char_p),
                ("aud", c_char_p), ("log_epoch", c_char_p), ("last_error", c_char_p), ("continuity", c_int64),
                ("live_until_ms", c_int64)] + [(n, c_uint64) for n in (
                    "sets_received", "sets_rejected", "sets_duplicate", "status_requests", "gaps", "heartbeats",
                    "tasks_pending", "unknown_events", "missions", "missions_evicted", "missions_refused",
                    "reports_sent", "reports_pending")]


_LOG = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p, POINTER(_LogField), c_size_t)
_HANDLER = ctypes.CFUNCTYPE(None, c_void_p, POINTER(_Task), c_void_p)
_ANSWER = ctypes.CFUNCTYPE(None, c_void_p, POINTER(_Answer))
_TASK_VIEW = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(_TaskView))
_STATUS = ctypes.CFUNCTYPE(None, c_void_p, POINTER(_Status))


def _load():
    """MISSION_SIGNALS_LIBRARY, else what the dynamic linker finds. CDLL: calls release the interpreter."""
    lib = ctypes.CDLL(os.environ.get("MISSION_SIGNALS_LIBRARY", f"libmission_signals_c.so.{ABI_MAJOR}"))
    lib.ms_abi_version.restype = c_uint32
    if lib.ms_abi_version() >> 16 != ABI_MAJOR:
        raise ImportError(f"libmission_signals_c has another ABI: {lib.ms_abi_version() >> 16}")
    rx, text = c_void_p, c_char_p
    for name, result, arguments in (
            ("ms_error", text, []),
            ("ms_standing_name", text, [c_int32]),
            ("ms_effect_name", text, [c_int32]),
            ("ms_outcome_name", text, [c_int32]),
            ("ms_reason", text, [POINTER(_Answer)]),
            ("ms_options_new", c_void_p, []),
            ("ms_options_free", None, [c_void_p]),
            ("ms_options_set", c_int32, [c_void_p, text, text]),
            ("ms_options_add", c_int32, [c_void_p, text, text]),
            ("ms_options_on_log", c_int32, [c_void_p, _LOG, c_void_p, c_void_p]),
            ("ms_receiver_new", c_int32, [c_void_p, POINTER(c_void_p)]),
            ("ms_receiver_start", c_int32, [rx]),
            ("ms_receiver_wait_live", c_int32, [rx, c_int64]),
            ("ms_receiver_stop", c_int32, [rx]),
            ("ms_receiver_free", c_int32, [rx]),
            ("ms_check", c_int, [rx, text, POINTER(_Answer)]),
            ("ms_permits", c_int, [rx, text, text, text, POINTER(_Permission)]),
            ("ms_resolve", c_int, [rx, text, c_int64, POINTER(_Answer)]),
            ("ms_resolve_async", c_int32, [rx, text, c_uint32, _ANSWER, c_void_p]),
            ("ms_hold", c_int32, [rx, text, text, c_char_p, c_size_t]),
            ("ms_release", c_int32, [rx, text, text]),
            ("ms_outcome_done", None, [c_void_p, text]),
            ("ms_outcome_failed", None, [c_void_p, text]),
            ("ms_on_effect", c_int32, [rx, POINTER(_HandlerOptions), _HANDLER, c_void_p, c_void_p]),
            ("ms_tasks", c_int32, [rx, c_int, _TASK_VIEW, c_void_p]),
            ("ms_task_retry", c_int32, [rx, text]),
            ("ms_status_get", c_int32, [rx, _STATUS, c_void_p])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


_lib = _load()


def _octets(text):
    return text.encode("utf-8", "surrogateescape")


def _text(octets):
    return (octets or b"").decode("utf-8", "replace")


def _must(code):
    if code != OK:
        raise (Denied if code == DENIED else Error)(code, _text(_lib.ms_error()))


class Answer:
    """What is known of a mission. True when it permits."""

    __slots__ = ("permitted", "standing", "version", "reason")

    def __init__(self, permitted, raw):
        self.permitted, self.version = bool(permitted), raw.version
        self.standing, self.reason = _text(_lib.ms_standing_name(raw.standing)), _text(_lib.ms_reason(byref(raw)))

    def __bool__(self):
        return self.permitted

    def __repr__(self):
        return f"Answer({self.standing}, version={self.version})"


class Task:
    """What a handler is called for. `idempotency_key` is the same on every try, also after a crash."""

    def __init__(self, raw):
        self.effect = _text(_lib.ms_effect_name(raw.why))
        self.idempotency_key, self.mission_id = _text(raw.idempotency_key), _text(raw.mission_id)
        self.issuer, self.version, self.name = _text(raw.issuer), raw.version, _text(raw.name)
        self.data, self.attempt = ctypes.string_at(raw.data, raw.data_length), raw.attempt


class Receiver:
    """One stream, one cache. Options by the names of receiver.hpp; lists as lists. Any thread."""

    def __init__(self, log=None, **options):
        self._callbacks = []  # ctypes keeps none of them alive
        self._pending, self._lock = {}, threading.Lock()
        self._next = 0
        self._answered = _ANSWER(self._on_answer)
        made = _lib.ms_options_new()
        if not made:
            raise MemoryError
        try:
            for key, value in options.items():
                key = _octets(key)
                if isinstance(value, (list, tuple)):
                    for one in value:
                        _must(_lib.ms_options_add(made, key, _octets(one)))
                    continue
                value = str(value).lower() if isinstance(value, bool) else str(value)
                _must(_lib.ms_options_set(made, key, _octets(value)))
            if log:
                _must(_lib.ms_options_on_log(made, self._keep(_LOG(self._logger(log))), None, None))
            handle = c_void_p()
            _must(_lib.ms_receiver_new(made, byref(handle)))
            self._handle = handle
        finally:
            _lib.ms_options_free(made)

    def _keep(self, callback):
        self._callbacks.append(callback)
        return callback

    @staticmethod
    def _logger(log):
        def called(_user, level, message, fields, count):
            log(level, _text(message), {_text(fields[i].name): _text(fields[i].value) for i in range(count)})
        return called

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def on_effect(self, name, effects, handler, per_mission=False, timeout_ms=0, concurrency=0):
        """Before start(). handler(task) -> evidence; what it raises is a failure, and it is called again."""
        def called(_user, task, outcome):
            try:
                evidence = handler(Task(task.contents))
            except Exception as e:  # the library tries again, and keeps the reason
                _lib.ms_outcome_failed(outcome, _octets(f"{type(e).__name__}: {e}"))
                return
            _lib.ms_outcome_done(outcome, _octets(str(evidence or "")))
        on = 0
        for effect in effects:
            on |= 1 << EFFECTS[effect]
        options = _HandlerOptions(ctypes.sizeof(_HandlerOptions), on, _octets(name), int(per_mission), concurrency,
                                  timeout_ms, 0, 0)
        _must(_lib.ms_on_effect(self._handle, byref(options), self._keep(_HANDLER(called)), None, None))

    def start(self):
        _must(_lib.ms_receiver_start(self._handle))

    def wait_live(self, seconds):
        code = _lib.ms_receiver_wait_live(self._handle, int(seconds * 1000))
        if code not in (OK, TIMEOUT):
            _must(code)
        return code == OK

    def stop(self):
        """Not from a handler. Running handlers finish."""
        _must(_lib.ms_receiver_stop(self._handle))

    def close(self):
        """Stops and frees; no call may be under way, and none comes after it."""
        if self._handle:
            _must(_lib.ms_receiver_free(self._handle))
            self._handle = c_void_p()

    def check(self, mission_id):
        """Nanoseconds in the library; a microsecond or two here. Never waits."""
        raw = _Answer(ctypes.sizeof(_Answer))
        return Answer(_lib.ms_check(self._handle, _octets(mission_id), byref(raw)), raw)

    def permits(self, mission_id, resource, action):
        """May the mission do this, here and now? Its standing first, then its authority."""
        raw = _Permission(ctypes.sizeof(_Permission))
        return bool(_lib.ms_permits(self._handle, _octets(mission_id), _octets(resource), _octets(action), byref(raw)))

    def resolve(self, mission_id, timeout=5.0):
        """Asks Mission Status where check() cannot say, and waits; other Python threads go on meanwhile."""
        raw = _Answer(ctypes.sizeof(_Answer))
        return Answer(_lib.ms_resolve(self._handle, _octets(mission_id), int(timeout * 1000), byref(raw)), raw)

    async def resolve_async(self, mission_id, force=False):
        """The same for asyncio: the answer comes on a thread of the library, and is handed to the loop."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            self._next += 1
            ticket = self._next
            self._pending[ticket] = (loop, future)
        code = _lib.ms_resolve_async(self._handle, _octets(mission_id), 1 if force else 0, self._answered, ticket)
        if code != OK:
            with self._lock:
                del self._pending[ticket]
            _must(code)
        return await future

    def _on_answer(self, ticket, raw):
        answer = Answer(raw.contents.standing == 1, raw.contents)  # MS_STANDING_ACTIVE
        with self._lock:
            loop, future = self._pending.pop(ticket)

        def settle():
            if not future.done():  # its waiter may have been cancelled
                future.set_result(answer)
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop has been closed: there is nobody left to tell
            pass

    def hold(self, mission_id, name, data=b""):
        """Declares what is about to be handed out. Denied: do not hand it out."""
        _must(_lib.ms_hold(self._handle, _octets(mission_id), _octets(name), data, len(data)))

    def release(self, mission_id, name):
        _must(_lib.ms_release(self._handle, _octets(mission_id), _octets(name)))

    def tasks(self, unfinished_only=True):
        found = []

        def each(_user, view):
            v = view.contents
            found.append({"handler": _text(v.handler), "effect": _text(_lib.ms_effect_name(v.task.contents.why)),
                          "mission": _text(v.task.contents.mission_id), "name": _text(v.task.contents.name),
                          "outcome": _text(_lib.ms_outcome_name(v.last)), "evidence": _text(v.evidence),
                          "finished": bool(v.finished), "idempotency_key": _text(v.task.contents.idempotency_key)})
            return 0
        _must(_lib.ms_tasks(self._handle, int(unfinished_only), _TASK_VIEW(each), None))
        return found

    def status(self):
        out = {}

        def told(_user, status):
            for name, kind in _Status._fields_[1:]:
                value = getattr(status.contents, name)
                out[name] = _text(value) if kind is c_char_p else value
        _must(_lib.ms_status_get(self._handle, _STATUS(told), None))
        return out
