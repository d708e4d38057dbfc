// When a key changes its role, what the audit says of it, and what is left when a program dies in
// the middle.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/transmitter/config/key_world.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("a rotation takes effect at once when the next key's lead is over") {
    world w;
    const auto ring = w.open_ready();
    const auto old = signs(*ring);
    const auto next = w.kid("next");
    const auto rs256 = signs(*ring, jose::alg::rs256);
    CHECK(publishes(*ring, next));
    const auto held = ring->set_signer(jose::alg::es256);
    const auto done = w.rotate();
    REQUIRE(done);
    CHECK(done->done);
    CHECK(done->kid == next);
    CHECK(done->old_kid == old);
    CHECK(signs(*ring) == old);  // until the running one looks
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == next);
    CHECK(ring->status_signer()->key().kid() == next);
    CHECK(signs(*ring, jose::alg::rs256) == rs256);  // only what was asked for
    CHECK(publishes(*ring, old));
    CHECK(w.kid("retained") == old);
    CHECK(w.kid("next") != next);
    CHECK(publishes(*ring, w.kid("next")));
    // What somebody still holds signs what receivers can still verify.
    CHECK(held->key().kid() == old);
    CHECK(held->sign("{}").has_value());
    // Its private part is gone from the disk.
    CHECK(w.key_files().size() == 4);
    for (const auto& name : w.key_files())
        CHECK(name.find(old) == std::string::npos);
    CHECK_FALSE(*ring->refresh());  // nothing left to do
}

TEST_CASE("a next key signs only after it has been in the JWKS for its lead") {
    world w;
    const auto ring = w.open();
    const auto old = signs(*ring);
    const auto next = w.kid("next");
    // Nobody has served it yet: its lead has not begun.
    w.time.advance(24h);
    auto asked = w.rotate();
    REQUIRE(asked);
    CHECK_FALSE(asked->done);
    CHECK_FALSE(asked->at);
    CHECK(asked->kid == next);
    w.time.advance(24h);
    CHECK_FALSE(w.rotate()->done);  // asked twice is asked once
    REQUIRE(*ring->refresh());      // served from here on
    CHECK(signs(*ring) == old);
    const auto published = w.time.now();
    CHECK(w.of("next")[0].published_at == published);
    CHECK(w.of("next")[0].scheduled);
    CHECK(w.of("next")[0].until == published + 600s);
    asked = w.rotate();
    CHECK_FALSE(asked->done);
    CHECK(asked->at == published + 600s);
    w.time.advance(600s - 1ms);
    CHECK_FALSE(*ring->refresh());
    CHECK(signs(*ring) == old);
    w.time.advance(1ms);
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == next);
    CHECK(w.kid("retained") == old);
    // Once: the key after it was not asked for.
    w.time.advance(24h);
    REQUIRE(ring->refresh());
    w.time.advance(24h);
    REQUIRE(ring->refresh());
    CHECK(signs(*ring) == next);
}

TEST_CASE("a key that is made by a rotation has a lead of its own") {
    world w;
    const auto ring = w.open_ready();
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    CHECK_FALSE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    w.time.advance(599s);
    CHECK_FALSE(w.rotate()->done);
    w.time.advance(2s);
    REQUIRE(*ring->refresh());
    CHECK(w.of("retained").size() == 2);
}

TEST_CASE("a retained key goes after its time, one that signed statuses only after theirs") {
    world w;
    auto ring = w.open_ready();
    const auto es256 = signs(*ring), rs256 = signs(*ring, jose::alg::rs256);
    REQUIRE(w.rotate()->done);
    REQUIRE(w.rotate(jose::alg::rs256)->done);
    REQUIRE(*ring->refresh());
    REQUIRE(ring->refresh());
    w.time.advance(8h - 1ms);
    CHECK_FALSE(*ring->refresh());
    CHECK(publishes(*ring, rs256));
    CHECK(w.of("retained", "RS256")[0].until == w.time.now() + 1ms);
    w.time.advance(1ms);
    REQUIRE(*ring->refresh());
    CHECK_FALSE(publishes(*ring, rs256));
    CHECK(w.of("retained", "RS256").empty());
    // Statuses are kept as evidence as long as the mission records.
    w.time.advance(24h * 3650);
    CHECK_FALSE(*ring->refresh());
    CHECK(publishes(*ring, es256));
    CHECK_FALSE(w.of("retained")[0].until);
    // Never before SETs signed by it are over, whatever is configured.
    w.options.status_retain = 1s;
    ring = w.open();
    CHECK_FALSE(publishes(*ring, es256));
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    w.time.advance(1h);
    REQUIRE(ring->refresh());
    CHECK(w.of("retained").size() == 1);
}

TEST_CASE("a revoked key is out of the JWKS and off the disk, and the next one signs at once") {
    world w;
    const auto ring = w.open();  // no lead is over
    REQUIRE(*ring->refresh());
    const auto old = signs(*ring);
    const auto next = w.kid("next");
    const auto done = revoke_key(w.path(), old, w.options);
    REQUIRE(done);
    CHECK(done->done);
    CHECK(done->old_kid == old);
    CHECK(done->kid == next);
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == next);
    CHECK(ring->status_signer()->key().kid() == next);
    CHECK_FALSE(publishes(*ring, old));
    CHECK(publishes(*ring, w.kid("next")));
    CHECK(w.kid("revoked") == old);
    for (const auto& name : w.key_files())
        CHECK(name.find(old) == std::string::npos);
    // For good.
    CHECK(revoke_key(w.path(), old, w.options).error().code == errc::not_found);
    w.time.advance(24h);
    CHECK(signs(*w.open()) == next);
}

TEST_CASE("next and retained keys can be revoked too, and nothing else changes") {
    world w;
    const auto ring = w.open_ready();
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());  // the new next one is served from here on
    const auto current = signs(*ring), retained = w.kid("retained");
    auto done = revoke_key(w.path(), retained, w.options);
    REQUIRE(done);
    CHECK(done->kid.empty());
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == current);
    CHECK_FALSE(publishes(*ring, retained));
    // A rotation that waits for the revoked key waits for the one after it.
    const auto next = w.kid("next");
    CHECK_FALSE(w.rotate()->done);
    REQUIRE(revoke_key(w.path(), next, w.options));
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == current);
    CHECK_FALSE(publishes(*ring, next));
    const auto after = w.kid("next");
    CHECK(after != next);
    CHECK(w.of("next")[0].scheduled);
    w.time.advance(600s);
    REQUIRE(ring->refresh());
    w.time.advance(600s);
    REQUIRE(ring->refresh());
    CHECK(signs(*ring) == after);
    CHECK(revoke_key(w.path(), "no-such-kid", w.options).error().code == errc::not_found);
}

TEST_CASE("a folder without keys is named, and nothing is made in it by a command") {
    world w;
    CHECK(w.rotate().error().code == errc::not_found);
    CHECK(list_keys(w.path(), w.options).error().code == errc::not_found);
    const auto missing = rotate_key(w.file("none"), jose::alg::es256, w.options);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().detail.find(w.file("none")) != std::string::npos);
    CHECK_FALSE(fs::exists(w.file("none")));
    CHECK(w.key_files().empty());
}

TEST_CASE("a crash after a key file and before the state leaves the state before") {
    world w;
    const auto ring = w.open_ready();
    const auto files = w.key_files();
    const auto before = *ring->jwks_json();
    {
        // What a rotation does until its rename: a key file, a state half written.
        auto editor = key_folder(w.path()).edit(0ms, w.time.now());
        REQUIRE(editor);
        REQUIRE(editor->make_key(jose::alg::es256));
        { std::ofstream(w.file("keys.json.AbCdEf.new")) << "{\"keys\":[{"; }
        { std::ofstream(w.file("ES256-x.pem.AbCdEf.new")) << "-----BEGIN"; }
    }
    CHECK(w.key_files().size() == files.size() + 2);
    CHECK_FALSE(*ring->refresh());
    const auto again = w.open();
    CHECK(*again->jwks_json() == before);
    CHECK(w.key_files() == files);  // swept by whoever came next
    CHECK_FALSE(fs::exists(w.file("keys.json.AbCdEf.new")));
}

TEST_CASE(
    "a crash after the state and before the old file is removed leaves no private key behind") {
    world w;
    auto ring = w.open_ready();
    const auto old = signs(*ring);
    const std::string file = w.of("current")[0].file;
    const std::string pem = content_of(file);
    REQUIRE(revoke_key(w.path(), old, w.options));
    REQUIRE(write_private_file(file, pem));  // as if it had not been removed yet
    ring = w.open();
    CHECK_FALSE(fs::exists(file));
    CHECK_FALSE(publishes(*ring, old));
    CHECK(signs(*ring) != old);
}

TEST_CASE("a first start that was cut off before its state is begun again") {
    world w;
    const auto stray = jose::private_key::generate(jose::alg::es256);
    REQUIRE(write_private_file(w.file("ES256-" + stray->kid() + ".pem"), stray->to_pem()));
    const auto ring = w.open();
    CHECK_FALSE(publishes(*ring, stray->kid()));
    CHECK(w.key_files().size() == 4);
}

TEST_CASE("each operation on a key is one line of the audit, with who and when") {
    world w;
    const auto ring = w.open_ready();
    const auto old = signs(*ring);
    REQUIRE(w.rotate()->done);
    REQUIRE(revoke_key(w.path(), old, w.options));
    REQUIRE_FALSE(revoke_key(w.path(), "no-such-kid", w.options));
    CHECK(mode_of(w.file("audit.jsonl")) == 0600);
    std::vector<std::string> operations;
    std::int64_t number = 0;
    for (const auto& line : w.audit()) {
        const auto doc = json::parse(line);
        REQUIRE(doc);
        operations.emplace_back(*json::find_string(*doc, "operation"));
        CHECK(from_rfc3339(*json::find_string(*doc, "time")).has_value());
        const auto* who = json::find(*doc, "who");
        REQUIRE(who);
        CHECK(json::find_int(*who, "uid") == static_cast<std::int64_t>(::getuid()));
        CHECK(json::find_int(*who, "pid") == static_cast<std::int64_t>(::getpid()));
        CHECK(json::find_string(*doc, "kid").has_value());
        const auto outcome = json::find_string(*doc, "outcome");
        if (&line != &w.audit().back() && json::find_int(*doc, "number")) {
            CHECK(outcome == "done");
            CHECK(json::find_int(*doc, "number") == ++number);
        }
    }
    CHECK(operations == std::vector<std::string>{"create", "create", "create", "create", "publish",
                                                 "publish", "publish", "publish", "retire",
                                                 "rotate", "create", "revoke", "revoke"});
    const auto last = json::parse(w.audit().back());
    CHECK(json::find_string(*last, "outcome")->starts_with("refused"));
    CHECK(json::find_string(*last, "kid") == "no-such-kid");
}

TEST_CASE("a crash between a change and its audit line loses neither, and doubles none") {
    world w;
    auto ring = w.open_ready();
    REQUIRE(w.rotate()->done);
    const auto whole = w.audit();
    // Its last line torn, the one before it not written at all.
    {
        std::ofstream out(w.file("audit.jsonl"), std::ios::trunc);
        for (std::size_t i = 0; i + 2 < whole.size(); ++i)
            out << whole[i] << "\n";
        out << whole.back().substr(0, 20);
    }
    ring = w.open();
    auto lines = w.audit();
    std::erase_if(lines, [](const auto& l) { return !json::parse(l); });
    CHECK(lines == whole);
    w.open();
    lines = w.audit();
    std::erase_if(lines, [](const auto& l) { return !json::parse(l); });
    CHECK(lines == whole);
}

TEST_CASE("two processes change the same folder one after the other, and both changes stand") {
    world w;
    const auto ring = w.open_ready();
    const auto es256 = w.kid("next"), rs256 = w.kid("next", "RS256");
    int go[2];
    REQUIRE(::pipe(go) == 0);
    const pid_t child = ::fork();  // before there is a lock that it could inherit
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(go[1]);
        char locked = 0;
        if (::read(go[0], &locked, 1) != 1) ::_exit(2);
        // Waits for the lock, as a second `keys rotate` does.
        const auto done = w.rotate(jose::alg::rs256);
        ::_exit(done && done->done ? 0 : 1);
    }
    auto editor = key_folder(w.path()).edit(0ms, w.time.now());
    REQUIRE(editor);
    REQUIRE(::write(go[1], "x", 1) == 1);
    // The running one does not wait: it looks again in a second.
    CHECK_FALSE(*ring->refresh());
    key_rules rules(editor->state, w.options, w.time.now(),
                    [&](jose::alg a) { return editor->make_key(a); });
    REQUIRE(rules.rotate(jose::alg::es256));
    REQUIRE(editor->commit(rules.operations()));
    { const auto released = std::move(*editor); }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    ::close(go[0]);
    ::close(go[1]);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    REQUIRE(*ring->refresh());
    CHECK(signs(*ring) == es256);
    CHECK(signs(*ring, jose::alg::rs256) == rs256);
}

TEST_CASE("who cannot have the lock in time is told why, and changes nothing") {
    world w;
    w.open();
    const key_folder folder(w.path());
    const auto first = folder.edit(0ms, w.time.now());
    REQUIRE(first);
    const auto second = folder.edit(30ms, w.time.now());
    REQUIRE_FALSE(second);
    CHECK(second.error().detail.find("another process") != std::string::npos);
}

TEST_CASE("what the running transmitter cannot read changes nothing for it") {
    world w;
    const auto ring = w.open_ready();
    const auto jwks = *ring->jwks_json();
    const auto old = signs(*ring);
    const std::string good = content_of(w.file("keys.json"));
    REQUIRE(replace_private_file(w.file("keys.json"), "nonsense"));
    const auto looked = ring->refresh();
    REQUIRE_FALSE(looked);
    CHECK(looked.error().detail.find(w.file("keys.json")) != std::string::npos);
    CHECK(*ring->jwks_json() == jwks);
    CHECK(signs(*ring) == old);
    CHECK_FALSE(ring->refresh());  // still
    REQUIRE(replace_private_file(w.file("keys.json"), good));
    CHECK(ring->refresh());
    CHECK(*ring->jwks_json() == jwks);
}

TEST_CASE("a clock that goes back brings no old key back") {
    world w;
    const auto ring = w.open_ready();
    REQUIRE(w.rotate()->done);
    REQUIRE(*ring->refresh());
    const auto current = signs(*ring);
    w.time.jump_wall(-48h);
    REQUIRE(ring->refresh());
    CHECK(signs(*ring) == current);
    CHECK(signs(*w.open()) == current);
}

TEST_CASE(
    "a clock that was ahead when a key was published does not put off its rotation for ever") {
    world w;
    w.time.jump_wall(24h * 3650);
    auto ring = w.open();
    REQUIRE(*ring->refresh());  // published "in ten years"
    const auto next = w.kid("next");
    w.time.jump_wall(-24h * 3650);
    CHECK_FALSE(w.rotate()->done);
    // How long it was in the JWKS nobody knows: its lead begins anew.
    REQUIRE(*ring->refresh());
    const auto asked = w.rotate();
    REQUIRE(asked);
    CHECK_FALSE(asked->done);
    CHECK(asked->at == w.time.now() + 600s);
    w.time.advance(600s);
    REQUIRE(ring->refresh());
    CHECK(signs(*ring) == next);
}
