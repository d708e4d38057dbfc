#include <doctest/doctest.h>

#include <sys/stat.h>
#include "tests/transmitter/printing.hpp"

#include <filesystem>
#include <fstream>

#include "tests/transmitter/fixture.hpp"
#include "transmitter/keys/key_ring.hpp"
#include "transmitter/keys/private_file.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

unsigned mode_of(const std::string& path) {
    struct stat s {};
    REQUIRE(::stat(path.c_str(), &s) == 0);
    return s.st_mode & 07777;
}

}  // namespace

TEST_CASE("keys are made once, private to their owner, and are the same after a restart") {
    testing::temporary_folder folder;
    const std::string where = folder.path() + "/a/keys";
    std::string before;
    {
        const auto ring = open_key_ring(where);
        REQUIRE(ring);
        before = (*ring)->jwks_json();
    }
    CHECK(mode_of(where) == 0700);
    CHECK(mode_of(where + "/current-ES256.pem") == 0600);
    CHECK(mode_of(where + "/current-RS256.pem") == 0600);
    const auto again = open_key_ring(where);
    REQUIRE(again);
    CHECK((*again)->jwks_json() == before);
    CHECK((*again)->set_signer(jose::alg::rs256).key().algorithm() == jose::alg::rs256);
    CHECK((*again)->set_signer(jose::alg::es256).key().algorithm() == jose::alg::es256);
    const auto listed = list_keys(where);
    REQUIRE(listed);
    CHECK(listed->size() == 2);
}

TEST_CASE("the published set holds public members alone, next and retained keys too") {
    testing::temporary_folder folder;
    REQUIRE(open_key_ring(folder.path()));
    const auto other = jose::private_key::generate(jose::alg::es256);
    REQUIRE(other);
    REQUIRE(write_private_file(folder.path() + "/retained-ES256-old.pem", other->to_pem()));
    const auto ring = open_key_ring(folder.path());
    REQUIRE(ring);
    const auto jwks = json::parse((*ring)->jwks_json());
    REQUIRE(jwks);
    CHECK((*jwks)["keys"].Size() == 3);
    for (const auto& key : (*jwks)["keys"].GetArray())
        for (const auto* secret : {"d", "p", "q", "dp", "dq", "qi"})
            CHECK(json::find(key, secret) == nullptr);
    CHECK((*ring)->set_signer(jose::alg::es256).key().kid() != other->kid());
}

TEST_CASE("a key that others can read is refused by name") {
    testing::temporary_folder folder;
    REQUIRE(open_key_ring(folder.path()));
    const std::string file = folder.path() + "/current-ES256.pem";
    REQUIRE(::chmod(file.c_str(), 0640) == 0);
    const auto ring = open_key_ring(folder.path());
    REQUIRE_FALSE(ring);
    CHECK(ring.error().code == errc::key_permissions);
    CHECK(ring.error().detail.find(file) != std::string::npos);
}

TEST_CASE("a key file that is no key is refused by name, never replaced") {
    testing::temporary_folder folder;
    REQUIRE(open_key_ring(folder.path()));
    const std::string file = folder.path() + "/current-RS256.pem";
    { std::ofstream(file, std::ios::trunc) << "nonsense"; }
    const auto ring = open_key_ring(folder.path());
    REQUIRE_FALSE(ring);
    CHECK(ring.error().detail.find(file) != std::string::npos);
    std::ifstream in(file);
    std::string content;
    in >> content;
    CHECK(content == "nonsense");
}

TEST_CASE("the secret key is made once and checked") {
    testing::temporary_folder folder;
    const std::string file = folder.path() + "/deep/secret.key";
    const auto first = load_secret_key(file);
    REQUIRE(first);
    CHECK(first->size() == 32);
    CHECK(mode_of(file) == 0600);
    CHECK(*load_secret_key(file) == *first);
    REQUIRE(::chmod(file.c_str(), 0644) == 0);
    CHECK(load_secret_key(file).error().code == errc::key_permissions);
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    { std::ofstream(file, std::ios::trunc) << "c2hvcnQ"; }
    CHECK(load_secret_key(file).error().code == errc::key_malformed);
}

TEST_CASE("issuer folders are safe names, each its own") {
    const auto a = issuer_folder("https://localhost:8443");
    CHECK(a.starts_with("localhost_8443-"));
    CHECK(a.find('/') == std::string::npos);
    CHECK(issuer_folder("https://a/b") != issuer_folder("https://a_b"));
    CHECK(issuer_folder("https://../..").find('/') == std::string::npos);
    CHECK_FALSE(issuer_folder("https://../..").starts_with("."));
}

TEST_CASE("a private file is written whole and never replaces another") {
    testing::temporary_folder folder;
    const std::string file = folder.path() + "/f";
    REQUIRE(write_private_file(file, "one"));
    CHECK_FALSE(write_private_file(file, "two"));
    CHECK(*read_private_file(file) == "one");
    CHECK(read_private_file(folder.path() + "/none").error().code == errc::not_found);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()),
                        std::filesystem::directory_iterator()) == 1);
}
