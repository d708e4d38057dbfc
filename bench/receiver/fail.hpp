// A benchmark that cannot measure says so and ends.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace mission::bench {

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "bench receiver: %s\n", what.c_str());
    std::exit(1);
}

template <class T>
T must(result<T> r, const char* what) {
    if (r.has_error()) fail(std::string(what) + ": " + r.error().message());
    return std::move(*r);
}

}  // namespace mission::bench
