#include "base/crash_point.hpp"

#ifdef MISSION_CRASH_POINTS

#include <csignal>
#include <cstdlib>

#include <atomic>
#include <string>

#include <unistd.h>

namespace mission {
namespace {

struct plan {
    std::string name;
    std::atomic<long> left{0};  // passages until the end; 0: never
};

plan& the_plan() {
    static plan p;
    static const bool read_once = [] {
        const char* text = std::getenv("MISSION_CRASH_AT");
        if (text == nullptr || *text == '\0') return false;
        std::string spec = text;
        long count = 1;
        if (auto colon = spec.rfind(':'); colon != std::string::npos) {
            count = std::strtol(spec.c_str() + colon + 1, nullptr, 10);
            spec.resize(colon);
        }
        p.name = std::move(spec);
        p.left.store(count > 0 ? count : 1, std::memory_order_relaxed);
        return true;
    }();
    (void)read_once;
    return p;
}

}  // namespace

void crash_point(const char* name) noexcept {
    auto& p = the_plan();
    if (p.name.empty() || p.name != name) return;
    // SIGKILL, not abort(): no handler, no flush, nothing a real crash would not leave either.
    if (p.left.fetch_sub(1, std::memory_order_relaxed) == 1) ::kill(::getpid(), SIGKILL);
}

}  // namespace mission

#endif
