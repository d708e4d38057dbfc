#include "transmitter/delivery/classify.hpp"

#include <doctest/doctest.h>

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;

namespace {

const wall_time now = from_numeric_date(1'790'000'000);

push_outcome answer(int status, std::string body = {}) {
    net::http_response r;
    r.status = status;
    r.body = std::move(body);
    return classify_push(r, now);
}

std::string err(std::string_view code) {
    return R"({"err":")" + std::string(code) + R"(","description":"words"})";
}

}  // namespace

TEST_CASE("202 is delivered; 200 and 204 are taken as such and counted") {
    CHECK(answer(202).what == verdict::delivered);
    CHECK_FALSE(answer(202).unusual_success);
    for (const int status : {200, 204}) {
        CHECK(answer(status).what == verdict::delivered);
        CHECK(answer(status).unusual_success);
    }
}

TEST_CASE("400 with invalid_request or invalid_state speaks of the SET") {
    CHECK(answer(400, err("invalid_request")).what == verdict::set_rejected);
    CHECK(answer(400, err("invalid_state")).what == verdict::set_rejected);
}

TEST_CASE("every other code speaks of the relation") {
    for (const auto* code : {"invalid_key", "invalid_issuer", "invalid_audience",
                             "authentication_failed", "access_denied", "jws", "Invalid_request"}) {
        CHECK_MESSAGE(answer(400, err(code)).what == verdict::relation_failed, code);
    }
}

TEST_CASE("a 400 that does not speak RFC 8935 is the relation's fault") {
    CHECK(answer(400).what == verdict::relation_failed);
    CHECK(answer(400, "<html>").what == verdict::relation_failed);
    CHECK(answer(400, R"({"err":5})").what == verdict::relation_failed);
    CHECK(answer(400, R"(["invalid_request"])").what == verdict::relation_failed);
}

TEST_CASE("invalid_request in another status says nothing of the SET") {
    for (const int status : {401, 403, 404, 413, 429, 500, 503}) {
        CHECK(answer(status, err("invalid_request")).what == verdict::relation_failed);
    }
}

TEST_CASE("redirects, other successes and every failure of transport hold the stream") {
    for (const int status : {201, 206, 301, 302, 307, 308, 401, 404, 410, 429, 500, 502, 503}) {
        CHECK(answer(status).what == verdict::relation_failed);
    }
    for (const auto code :
         {errc::address_refused, errc::resolve_failed, errc::connect_failed, errc::tls_failed,
          errc::timed_out, errc::connection_closed, errc::bad_response, errc::response_too_large}) {
        const auto outcome = classify_push(error{code, "why"}, now);
        CHECK(outcome.what == verdict::relation_failed);
        CHECK(outcome.reason() == std::string(name(code)) + ": why");
    }
}

TEST_CASE("the receiver's words are kept, cut to a kilobyte at a character's boundary") {
    std::string longest;
    while (longest.size() < 3000)
        longest += "\u00e9";
    const auto outcome =
        answer(400, R"({"err":"invalid_request","description":")" + longest + R"("})");
    CHECK(outcome.err == "invalid_request");
    CHECK(outcome.description.size() <= 1024);
    CHECK(outcome.description.size() % 2 == 0);
}

TEST_CASE("Retry-After of a refusal is heeded") {
    net::http_response r;
    r.status = 503;
    r.fields.add("Retry-After", "12");
    CHECK(classify_push(r, now).retry_after == 12s);
}

TEST_CASE("codes of setErrs are classified like those of push answers") {
    CHECK(classify_error_code("invalid_request") == verdict::set_rejected);
    CHECK(classify_error_code("invalid_state") == verdict::set_rejected);
    CHECK(classify_error_code("invalid_key") == verdict::relation_failed);
    CHECK(classify_error_code("") == verdict::relation_failed);
}
