// A folder of keys with a clock that stands, for the tests of keys.
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "tests/transmitter/fixture.hpp"
#include "tests/transmitter/printing.hpp"
#include "transmitter/keys/key_folder.hpp"
#include "transmitter/keys/key_ring.hpp"
#include "transmitter/keys/private_file.hpp"

namespace mission::transmitter::testing {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline unsigned mode_of(const std::string& path) {
    struct stat s {};
    REQUIRE(::stat(path.c_str(), &s) == 0);
    return s.st_mode & 07777;
}

inline std::string content_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// One folder with a clock that stands, and rings on it as a transmitter opens them.
struct world {
    temporary_folder folder;
    manual_clock time{wall_time{1793610400s}};
    key_ring_options options;

    world() {
        options.lead = 600s;
        options.retain = 8h;
        options.time = &time;
    }
    const std::string& path() const { return folder.path(); }
    std::string file(const std::string& name) const { return path() + "/" + name; }

    std::unique_ptr<key_ring> open() {
        auto ring = open_key_ring(path(), options);
        REQUIRE(ring);
        return std::move(*ring);
    }
    // As a transmitter has it after some time: its next keys may be used.
    std::unique_ptr<key_ring> open_ready() {
        auto ring = open();
        REQUIRE(*ring->refresh());
        time.advance(600s);
        return ring;
    }
    std::vector<key_listing> list() {
        auto all = list_keys(path(), options);
        REQUIRE(all);
        return *all;
    }
    std::vector<key_listing> of(const std::string& role, const std::string& alg = "ES256") {
        auto all = list();
        std::erase_if(all, [&](const auto& k) { return k.role != role || k.alg != alg; });
        return all;
    }
    std::string kid(const std::string& role, const std::string& alg = "ES256") {
        const auto found = of(role, alg);
        REQUIRE(found.size() == 1);
        return found[0].kid;
    }
    std::vector<std::string> key_files() {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(path()))
            if (entry.path().filename().string().find(".pem") != std::string::npos)
                names.push_back(entry.path().filename().string());
        std::sort(names.begin(), names.end());
        return names;
    }
    std::vector<std::string> audit() {
        std::vector<std::string> out;
        std::ifstream in(file("audit.jsonl"));
        for (std::string line; std::getline(in, line);)
            out.push_back(line);
        return out;
    }
    result<key_change> rotate(jose::alg a = jose::alg::es256) {
        return rotate_key(path(), a, options);
    }
};

inline std::string signs(const key_ring& ring, jose::alg a = jose::alg::es256) {
    return ring.set_signer(a)->key().kid();
}

inline bool publishes(const key_ring& ring, const std::string& kid) {
    return ring.jwks_json()->find(kid) != std::string::npos;
}

}  // namespace mission::transmitter::testing
