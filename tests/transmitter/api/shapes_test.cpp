// The shape of every error answer, and the order of checks where the body is too large.
#include <doctest/doctest.h>

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

const std::string huge(2u << 20, 'x');

bool has_exactly(const answer& a, std::string_view code, std::string_view words) {
    return a.json.IsObject() && a.json.MemberCount() == 2 && !a.text(code).empty() &&
           !a.text(words).empty();
}

}  // namespace

TEST_CASE("a body over the limit is a 413 for whom may ask, and a 401 or 403 for others") {
    transmitter_fixture f;
    CHECK(f.post_json("/ssf/streams", huge).status == 401);
    CHECK(f.post_json("/ssf/streams", huge, "poor-static-token").status == 403);
    const auto a = f.post_json("/ssf/streams", huge, f.token("erp"));
    CHECK(a.status == 413);
    CHECK(has_exactly(a, "err", "description"));
    CHECK(f.post_json("/ssf/poll/nobody", huge, f.token("erp")).status == 413);
    CHECK(f.get("/ssf/streams", f.token("erp")).status == 200);
}

TEST_CASE("form endpoints say error and error_description, whoever refuses") {
    transmitter_fixture f;
    for (const std::string path : {"/oauth/token", "/mission/status", "/mission/lifecycle"}) {
        CAPTURE(path);
        net::headers form;
        form.set("content-type", "application/x-www-form-urlencoded");
        const auto large = f.send("POST", f.url(path), form, huge);
        CHECK(large.status == 413);
        CHECK(has_exactly(large, "error", "error_description"));
        const auto method = f.get(path);
        CHECK(method.status == 405);
        CHECK(method.fields.get("allow") == "POST");
        CHECK(has_exactly(method, "error", "error_description"));
        net::headers wide = form;
        wide.set("x-wide", std::string(20'000, 'a'));
        const auto head = f.send("POST", f.url(path), wide, "a=b");
        CHECK(head.status == 431);
        CHECK(has_exactly(head, "error", "error_description"));
    }
}

TEST_CASE("everything else says err and description") {
    transmitter_fixture f;
    CHECK(has_exactly(f.get("/no/such/thing"), "err", "description"));
    CHECK(has_exactly(f.get("/ssf/streams"), "err", "description"));
    const auto method = f.send("DELETE", f.url("/ssf/status"));
    CHECK(method.status == 405);
    CHECK(method.fields.get("allow") == "GET, POST");
    CHECK(has_exactly(method, "err", "description"));
    net::headers wrong;
    wrong.set("authorization", "Bearer " + f.token("erp"));
    wrong.set("content-type", "text/plain");
    const auto type = f.send("POST", f.url("/ssf/streams"), wrong, "{}");
    CHECK(type.status == 415);
    CHECK(has_exactly(type, "err", "description"));
}

TEST_CASE("an answer stays JSON when it quotes a name that was cut within a character") {
    transmitter_fixture f;
    std::string name;
    for (int i = 0; i < 100; ++i)
        name += "a\u00e9";
    const auto a =
        f.post_json("/missions", "{\"agent\":{\"" + name + "\":1}}", f.token("operator"));
    CHECK(a.status == 400);
    CHECK(a.json.IsObject());
}

TEST_CASE("a challenge says where the resource describes itself") {
    transmitter_fixture f;
    const auto a = f.get("/ssf/streams");
    const std::string where = std::string(a.fields.get("www-authenticate"));
    CHECK(where.find("resource_metadata=\"" + f.url("/.well-known/oauth-protected-resource") +
                     "\"") != std::string::npos);
    const auto status = f.post_form("/mission/status", {{"nonce", "n"}});
    CHECK(status.status == 401);
    CHECK(std::string(status.fields.get("www-authenticate"))
              .find("/.well-known/oauth-protected-resource/mission/status") != std::string::npos);
    CHECK(f.get("/.well-known/oauth-protected-resource/mission/status").text("resource") ==
          f.url("/mission/status"));
}
