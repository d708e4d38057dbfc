#include "jose/base64url.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mission;
using namespace mission::jose;

TEST_CASE("octets of every length come back, and their text has no padding") {
    std::string bytes;
    for (int i = 0; i < 300; ++i) {
        const std::string text = base64url_encode(bytes);
        CHECK(text.size() == base64url_size(bytes.size()));
        CHECK(text.find_first_of("=+/") == std::string::npos);
        CHECK(base64url_decode(text).value() == bytes);
        CHECK(base64_decode(base64_encode(bytes)).value() == bytes);
        bytes += static_cast<char>(i * 37 + 11);
    }
}

TEST_CASE("the alphabet is that of RFC 4648 section 5") {
    CHECK(base64url_encode(std::string_view("\xfb\xff\xbf", 3)) == "-_-_");
    CHECK(base64_encode("\xfb\xff\xbf\xff") == "+/+//w==");
    CHECK(base64url_encode(std::string_view("f")) == "Zg");
    CHECK(base64url_encode(std::string_view("foob")) == "Zm9vYg");
}

TEST_CASE("every character outside the alphabet is refused, at every place") {
    for (int c = 0; c < 256; ++c) {
        const bool good = std::string_view(
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789-_")
                              .find(static_cast<char>(c)) != std::string_view::npos;
        for (std::size_t at = 0; at < 4; ++at) {
            std::string text = "AAAAAAAA";
            text[at] = static_cast<char>(c);
            CHECK(base64url_decode(text).has_value() == good);
        }
        if (!good)
            CHECK_FALSE(base64url_decode(std::string{static_cast<char>(c), 'A'}).has_value());
    }
}

TEST_CASE("long texts have the alphabet and its limits at every place too") {
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // The 64 values in order, as RFC 4648 has them.
    std::string ordered;
    for (unsigned i = 0; i < 64; i += 4) {
        const unsigned v = i << 18 | (i + 1) << 12 | (i + 2) << 6 | (i + 3);
        ordered += static_cast<char>(v >> 16);
        ordered += static_cast<char>(v >> 8);
        ordered += static_cast<char>(v);
    }
    CHECK(base64url_encode(ordered) == alphabet);
    CHECK(base64url_decode(alphabet).value() == ordered);
    for (std::size_t at = 0; at < 64; ++at)
        for (int c = 0; c < 256; ++c) {
            std::string text = alphabet;
            text[at] = static_cast<char>(c);
            const bool good = alphabet.find(static_cast<char>(c)) != std::string::npos;
            const auto decoded = base64url_decode(text);
            REQUIRE(decoded.has_value() == good);
            if (good) REQUIRE(base64url_encode(*decoded) == text);
        }
}

TEST_CASE("one octet string has exactly one text") {
    CHECK(base64url_decode("Zg").value() == "f");
    CHECK(base64url_decode("Zh").error() == errc::malformed_token);  // unused bits set
    CHECK(base64url_decode("Zm8").value() == "fo");
    CHECK(base64url_decode("Zm9").error() == errc::malformed_token);
    CHECK(base64url_decode("Z").error() == errc::malformed_token);
    CHECK(base64url_decode("Zg==").error() == errc::malformed_token);
    CHECK(base64url_decode("Zm 9v").error() == errc::malformed_token);
    CHECK(base64url_decode("Zm9v\n").error() == errc::malformed_token);
}

TEST_CASE("plain base64 wants its padding") {
    CHECK(base64_decode("Zg==").value() == "f");
    CHECK_FALSE(base64_decode("Zg").has_value());
    CHECK_FALSE(base64_decode("Zg=").has_value());
    CHECK_FALSE(base64_decode("====").has_value());
    CHECK_FALSE(base64_decode("Zm9v====").has_value());
    CHECK_FALSE(base64_decode("Z-_=").has_value());
}
