// The regression run: every input of the corpora and every input that ever broke something, as they
// are and in a fixed number of variations of each, always the same.
//
// Usage: fuzz_replay [--only TARGET] DIRECTORY...; each has a folder per target. The first one's
// are all needed.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/targets.hpp"

namespace {

namespace fs = std::filesystem;
using mission::fuzz::target;

constexpr int variations = 96;
constexpr std::size_t variation_bytes_max = 8192;  // larger ones are run as they are

// xorshift64*: fast, and the same everywhere.
class dice {
  public:
    explicit dice(std::uint64_t seed) : state_(seed | 1) {}
    std::uint64_t roll(std::uint64_t sides) {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 0x2545f4914f6cdd1dULL >> 33) % sides;
    }

  private:
    std::uint64_t state_;
};

// What a parser stumbles over: ends, nests, signs, lengths.
constexpr std::string_view pieces[] = {"{",
                                       "}",
                                       "[",
                                       "]",
                                       "\"",
                                       ":",
                                       ",",
                                       ".",
                                       "-1",
                                       "1e999",
                                       "null",
                                       "\\u0000",
                                       "\\ud800",
                                       "\r\n",
                                       "\n",
                                       "=",
                                       std::string_view("\0", 1),
                                       "\xff",
                                       "9223372036854775808",
                                       "%00",
                                       "\xe2\x80\xae"};

std::string varied(std::string text, dice& d) {
    for (auto n = 1 + d.roll(3); n > 0; --n) {
        const auto at = d.roll(text.size() + 1);
        switch (d.roll(5)) {
            case 0:
                text.resize(at);
                break;
            case 1:
                if (at < text.size()) text[at] = static_cast<char>(d.roll(256));
                break;
            case 2:
                text.insert(at, pieces[d.roll(std::size(pieces))]);
                break;
            case 3:
                text.erase(at, d.roll(16));
                break;
            case 4:
                text.insert(at, text.substr(d.roll(text.size() + 1), d.roll(64)));
                break;
        }
    }
    return text;
}

std::string current;  // what the target is being run with

extern "C" void leave_it_behind(int) {
    const int fd = ::open("fuzz_replay.found", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0 && ::write(fd, current.data(), current.size()) >= 0) ::close(fd);
}

void run(const target& t, std::string input) {
    current = std::move(input);
    t.run(current);
}

std::vector<std::string> inputs_in(const fs::path& folder) {
    std::vector<fs::path> files;
    if (fs::is_directory(folder)) {
        for (const auto& entry : fs::directory_iterator(folder))
            files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<std::string> inputs;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        if (!in) throw std::runtime_error("cannot be read: " + file.string());
        inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return inputs;
}

std::size_t replay(const target& t, const std::vector<std::string>& inputs) {
    std::size_t runs = 0;
    run(t, {});
    for (const auto& input : inputs) {
        run(t, input);
        ++runs;
        if (input.size() > variation_bytes_max) continue;
        dice d(input.size() * 0x9e3779b97f4a7c15ULL + runs);
        for (int n = 0; n < variations; ++n, ++runs)
            run(t, varied(input, d));
    }
    return runs;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> folders(argv + 1, argv + argc);
    std::string only;
    if (folders.size() > 2 && folders[0] == "--only") {
        only = folders[1];
        folders.erase(folders.begin(), folders.begin() + 2);
    }
    if (folders.empty()) {
        std::cerr << "usage: fuzz_replay [--only TARGET] DIRECTORY...\n";
        return 2;
    }
    std::signal(SIGABRT, leave_it_behind);
    std::signal(SIGSEGV, [](int) { std::abort(); });
    for (const auto& t : mission::fuzz::targets) {
        if (!only.empty() && t.name != only) continue;
        const auto begun = std::chrono::steady_clock::now();
        std::vector<std::string> inputs;
        for (const auto& folder : folders) {
            auto more = inputs_in(fs::path(folder) / t.name);
            if (&folder == &folders.front() && more.empty()) {
                std::cerr << t.name << ": there is no corpus in " << folder << "\n";
                return 1;
            }
            std::move(more.begin(), more.end(), std::back_inserter(inputs));
        }
        std::cout << t.name << ": " << std::flush;
        const auto runs = replay(t, inputs);
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - begun);
        std::cout << inputs.size() << " inputs, " << runs << " runs, " << took.count() << " ms\n";
    }
}
