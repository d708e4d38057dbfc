// What is fed octets of whoever sent them: one function per parser that a peer, a proxy or a file
// can reach. libFuzzer calls them (fuzz/libfuzzer.cpp), and so does the regression run of ./dev
// test (fuzz/replay.cpp). Each also holds what it parsed to a rule, so that a wrong reading is
// found and not only a crash.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

namespace mission::fuzz {

struct target {
    std::string_view name;
    void (*run)(std::string_view input);
};

void authzen(std::string_view input);
void c_options(std::string_view input);
void configuration(std::string_view input);
void http_head(std::string_view input);
void jwks(std::string_view input);
void jws(std::string_view input);
void metadata(std::string_view input);
void poll_answer(std::string_view input);
void set(std::string_view input);
void status_answer(std::string_view input);
void subject(std::string_view input);

inline constexpr target targets[] = {
    {"authzen", authzen},
    {"c_options", c_options},
    {"configuration", configuration},
    {"http_head", http_head},
    {"jwks", jwks},
    {"jws", jws},
    {"metadata", metadata},
    {"poll_answer", poll_answer},
    {"set", set},
    {"status_answer", status_answer},
    {"subject", subject},
};

// A broken rule ends the run, as a crash does.
inline void hold_to(bool rule, const char* what) {
    if (rule) return;
    std::fprintf(stderr, "a rule is broken: %s\n", what);
    std::abort();
}

}  // namespace mission::fuzz
