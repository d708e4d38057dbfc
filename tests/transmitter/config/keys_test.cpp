// The folder of an issuer's keys: what is in it, who may read it, what is refused.
#include <doctest/doctest.h>

#include <map>

#include "tests/transmitter/config/key_world.hpp"
#include "transmitter/config/read_config.hpp"
#include "transmitter/program/key_keeper.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("keys are made once, private to their owner, and are the same after a restart") {
    world w;
    const std::string where = w.file("a/keys");
    std::string before;
    {
        const auto ring = open_key_ring(where, w.options);
        REQUIRE(ring);
        before = *(*ring)->jwks_json();
    }
    CHECK(mode_of(where) == 0700);
    for (const auto& entry : fs::directory_iterator(where))
        CHECK(mode_of(entry.path().string()) == 0600);
    const auto again = open_key_ring(where, w.options);
    REQUIRE(again);
    CHECK(*(*again)->jwks_json() == before);
    CHECK((*again)->set_signer(jose::alg::rs256)->key().algorithm() == jose::alg::rs256);
    CHECK((*again)->set_signer(jose::alg::es256)->key().algorithm() == jose::alg::es256);
    CHECK((*again)->status_signer()->key().algorithm() == jose::alg::es256);
    // A current and a next one for each algorithm: a rotation need not wait for its key.
    CHECK(list_keys(where)->size() == 4);
}

TEST_CASE("the published set holds public members alone, of current, next and retained keys") {
    world w;
    const auto ring = w.open_ready();
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    const auto jwks = json::parse(*ring->jwks_json());
    REQUIRE(jwks);
    CHECK((*jwks)["keys"].Size() == 5);
    for (const auto& key : (*jwks)["keys"].GetArray())
        for (const auto* secret : {"d", "p", "q", "dp", "dq", "qi"})
            CHECK(json::find(key, secret) == nullptr);
    for (const auto& k : w.list())
        CHECK(publishes(*ring, k.kid));
    for (const auto* secret : {"\"d\"", "\"p\"", "PRIVATE"})
        CHECK(content_of(w.file("keys.json")).find(secret) == std::string::npos);
}

TEST_CASE("a key that others can read is refused by name") {
    world w;
    w.open();
    // The next one as well: not only on the day it is to sign.
    for (const auto* role : {"current", "next"}) {
        const std::string file = w.of(role)[0].file;
        REQUIRE(::chmod(file.c_str(), 0640) == 0);
        const auto ring = open_key_ring(w.path(), w.options);
        REQUIRE_FALSE(ring);
        CHECK(ring.error().code == errc::key_permissions);
        CHECK(ring.error().detail.find(file) != std::string::npos);
        REQUIRE(::chmod(file.c_str(), 0600) == 0);
    }
}

TEST_CASE("a key file that is no key, or another key, is refused by name, never replaced") {
    world w;
    w.open();
    const std::string file = w.of("current", "RS256")[0].file;
    const std::string other = content_of(w.of("next", "RS256")[0].file);
    for (const std::string& wrong : {std::string("nonsense"), other}) {
        { std::ofstream(file, std::ios::trunc) << wrong; }
        const auto ring = open_key_ring(w.path(), w.options);
        REQUIRE_FALSE(ring);
        CHECK(ring.error().detail.find(file) != std::string::npos);
        CHECK(content_of(file) == wrong);
    }
    fs::remove(file);
    const auto ring = open_key_ring(w.path(), w.options);
    REQUIRE_FALSE(ring);
    CHECK(ring.error().code == errc::key_unreadable);
    CHECK(ring.error().detail.find(file) != std::string::npos);
}

TEST_CASE("a state that is damaged or gone is refused by name, and no new keys are made") {
    world w;
    w.open();
    const std::string file = w.file("keys.json");
    const std::string good = content_of(file);
    const auto files = w.key_files();
    const auto refused = [&](const std::string& text) {
        { std::ofstream(file, std::ios::trunc) << text; }
        const auto ring = open_key_ring(w.path(), w.options);
        CHECK_FALSE(ring);
        return !ring && ring.error().detail.find(file) != std::string::npos &&
               content_of(file) == text && w.key_files() == files;
    };
    CHECK(refused("nonsense"));
    CHECK(refused("{}"));
    CHECK(refused(R"({"keys":[]})"));
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        return text.replace(at, from.size(), to);
    };
    CHECK(refused(with("\"current\"", "\"next\"")));  // none is current
    CHECK(refused(with("\"next\"", "\"current\"")));  // two are
    CHECK(refused(with("\"next\"", "\"other\"")));
    CHECK(refused(with("\"ES256-", "\"../ES256-")));
    CHECK(refused(with("\"P-256\"", "\"P-255\"")));
    fs::remove(file);
    const auto ring = open_key_ring(w.path(), w.options);
    REQUIRE_FALSE(ring);
    CHECK(ring.error().code == errc::key_unreadable);
    CHECK(ring.error().detail.find(file) != std::string::npos);
    CHECK(w.key_files() == files);
}

TEST_CASE("the folder of an earlier version is adopted with its keys and their roles") {
    world w;
    std::map<std::string, std::string> kids;
    for (const auto* name :
         {"current-ES256", "current-RS256", "next-ES256", "retained-ES256-old"}) {
        const auto a = std::string_view(name).find("RS256") == std::string_view::npos
                           ? jose::alg::es256
                           : jose::alg::rs256;
        const auto key = jose::private_key::generate(a);
        REQUIRE(key);
        kids[name] = key->kid();
        REQUIRE(write_private_file(w.file(std::string(name) + ".pem"), key->to_pem()));
    }
    auto ring = w.open();
    CHECK(signs(*ring) == kids["current-ES256"]);
    CHECK(signs(*ring, jose::alg::rs256) == kids["current-RS256"]);
    CHECK(w.kid("next") == kids["next-ES256"]);
    CHECK(w.kid("retained") == kids["retained-ES256-old"]);
    CHECK(publishes(*ring, kids["retained-ES256-old"]));
    CHECK_FALSE(fs::exists(w.file("retained-ES256-old.pem")));  // its private part is of no use
    CHECK(w.of("next", "RS256").size() == 1);                   // what was missing is made
    // And lives on like any other.
    REQUIRE(*ring->refresh());
    w.time.advance(600s);
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == kids["next-ES256"]);
    CHECK_FALSE(fs::exists(w.file("current-ES256.pem")));
    CHECK(fs::exists(w.file("next-ES256.pem")));
    ring = w.open();
    CHECK(signs(*ring) == kids["next-ES256"]);
}

TEST_CASE("how long keys are published before and after their use is configured") {
    const std::string base = "[[issuer]]\nurl = \"https://localhost:8443\"\n";
    const auto read = [&](const std::string& more) {
        const auto c = parse_config(base + more, "t.toml", {});
        REQUIRE(c);
        return key_options(*c, nullptr);
    };
    // SETs are redelivered for hold_days: their key stays a day longer.
    auto o = read("[ssf]\nhold_days = 3\n");
    CHECK(o.lead == 600s);  // twice the JWKS's max-age
    CHECK(o.retain == 96h);
    CHECK_FALSE(o.status_retain);
    o = read("[signing]\nlead_seconds = 31\nretain_seconds = 7\nstatus_retain_seconds = 9\n");
    CHECK(o.lead == 31s);
    CHECK(o.retain == 7s);
    CHECK(o.status_retain == 9s);
    CHECK_FALSE(parse_config(base + "[signing]\nlead_seconds = -1\n", "t.toml", {}));
    CHECK_FALSE(parse_config(base + "[signing]\nlead = 5\n", "t.toml", {}));
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
    REQUIRE(replace_private_file(file, "two"));
    CHECK(*read_private_file(file) == "two");
    CHECK(mode_of(file) == 0600);
    CHECK(read_private_file(folder.path() + "/none").error().code == errc::not_found);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()),
                        std::filesystem::directory_iterator()) == 1);
}
