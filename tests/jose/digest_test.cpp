#include "jose/digest.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace mission;
using namespace mission::jose;

namespace {
std::string hex(const digest256& d) {
    std::string out;
    for (const unsigned char c : d) {
        out += "0123456789abcdef"[c >> 4];
        out += "0123456789abcdef"[c & 15];
    }
    return out;
}
const std::string key(32, 'k');
}  // namespace

TEST_CASE("SHA-256 gives the FIPS 180 vectors, in any order of calls") {
    for (int i = 0; i < 2; ++i) {
        CHECK(hex(sha256("")) ==
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        CHECK(hex(sha256("abc")) ==
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

TEST_CASE("HMAC-SHA-256 gives the RFC 4231 vectors") {
    CHECK(hex(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(hex(hmac_sha256(std::string(131, '\xaa'),
                          "Test Using Larger Than Block-Size Key - Hash Key First")) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("the constant-time comparison is one of length and octets") {
    CHECK(equal_constant_time("", ""));
    CHECK(equal_constant_time("secret", "secret"));
    CHECK_FALSE(equal_constant_time("secret", "secreT"));
    CHECK_FALSE(equal_constant_time("secret", "secre"));
}

TEST_CASE("what was sealed opens with the same key and context") {
    const auto random = seeded_random(1);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}}) {
        const std::string plain(size, 'p');
        const std::string sealed = seal(key, "stream 7", plain, *random);
        CHECK(sealed.size() == 12 + size + 16);
        CHECK(open_sealed(key, "stream 7", sealed).value() == plain);
    }
}

TEST_CASE("a sealed secret opens for nobody else, and not when it was touched") {
    const auto random = seeded_random(2);
    const std::string sealed = seal(key, "stream 7", "Bearer abc", *random);
    CHECK(open_sealed(key, "stream 8", sealed).error() == errc::decryption_failed);
    CHECK(open_sealed(std::string(32, 'x'), "stream 7", sealed).error() == errc::decryption_failed);
    CHECK(open_sealed("short", "stream 7", sealed).error() == errc::decryption_failed);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string touched = sealed;
        touched[i] = static_cast<char>(touched[i] ^ 1);
        CHECK(open_sealed(key, "stream 7", touched).error() == errc::decryption_failed);
        CHECK(open_sealed(key, "stream 7", sealed.substr(0, i)).error() == errc::decryption_failed);
    }
}

TEST_CASE("two sealings of one text differ") {
    const auto random = seeded_random(3);
    CHECK(seal(key, "c", "same", *random) != seal(key, "c", "same", *random));
}

TEST_CASE("random ids have the entropy asked for and do not repeat") {
    CHECK(random_id(16).size() == 22);
    CHECK(random_id(16) != random_id(16));
}

TEST_CASE("a random id can be an argument of a command: it does not begin with a dash") {
    const auto random = seeded_random(5);
    for (int i = 0; i < 2'000; ++i)
        CHECK(random_id(9, *random).front() != '-');
}
