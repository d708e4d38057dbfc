#include "receiver/sidecar/forwarded_certificate.hpp"

#include <doctest/doctest.h>

#include "known_missions.hpp"
#include "net/http.hpp"

using namespace mission;
using namespace mission::receiver::sidecar;

namespace {

// Of nobody's key that is kept. CN=mis_active_0123456789012; SAN: URI
// spiffe://agents.example/agent-7, URI urn:mission:mis_active_0123456789012, DNS
// mis_revoked_012345678901.missions.example.
const std::string certificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBtjCCAVygAwIBAgIBBzAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhtaXNfYWN0\n"
    "aXZlXzAxMjM0NTY3ODkwMTIwIBcNMjYwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAw\n"
    "MDBaMCMxITAfBgNVBAMMGG1pc19hY3RpdmVfMDEyMzQ1Njc4OTAxMjBZMBMGByqG\n"
    "SM49AgEGCCqGSM49AwEHA0IABKQkX931etxRga5mQPvanv7GjxQS2mrIx/PuS2ZY\n"
    "U0DDs52RG9GN/NSBmhURcLXmkC8vnnNexr1X/arxSmxzyoKjfzB9MHsGA1UdEQR0\n"
    "MHKGH3NwaWZmZTovL2FnZW50cy5leGFtcGxlL2FnZW50LTeGJHVybjptaXNzaW9u\n"
    "Om1pc19hY3RpdmVfMDEyMzQ1Njc4OTAxMoIpbWlzX3Jldm9rZWRfMDEyMzQ1Njc4\n"
    "OTAxLm1pc3Npb25zLmV4YW1wbGUwCgYIKoZIzj0EAwIDSAAwRQIhALqzpGFZq+8v\n"
    "lPuA+eps6RvOjcnJW4JJBxpXFP2D2cv2AiAhx622tuQM/R2XI+6UayhrddktzQZX\n"
    "VQ7oLrrjh1XdAw==\n"
    "-----END CERTIFICATE-----\n";

using ids = std::vector<std::string>;
using form = certificate_reference::form;
using member = certificate_reference::member;

certificate_reference by(member what, std::string before, std::string after = {},
                         form how = form::pem) {
    return {.header = "x-client-cert", .how = how, .what = what, .before = before, .after = after};
}

ids found(const certificate_reference& how, const std::string& field) {
    const auto r = missions_of(how, field);
    if (!r) FAIL(r.error().message());
    return *r;
}

bool refused(const certificate_reference& how, const std::string& field) {
    return !missions_of(how, field).has_value();
}

}  // namespace

TEST_CASE("a certificate names its mission in a URI, a DNS name or its common name") {
    const auto field = net::percent_encode(certificate);
    CHECK(found(by(member::uri, "urn:mission:"), field) == ids{sidecar_test::active_mission});
    CHECK(found(by(member::dns, "", ".missions.example"), field) ==
          ids{sidecar_test::revoked_mission});
    CHECK(found(by(member::common_name, ""), field) == ids{sidecar_test::active_mission});
    CHECK(found(by(member::uri, "spiffe://agents.example/mission/"), field).empty());
    // What stands before and after must not overlap, and something has to be between.
    CHECK(found(by(member::uri, "urn:mission:mis_active_0123456789012"), field).empty());
}

TEST_CASE("a field that holds no certificate is refused, not overlooked") {
    const auto how = by(member::uri, "urn:mission:");
    CHECK(refused(how, "x"));
    CHECK(refused(how, "%2"));
    CHECK(refused(how, net::percent_encode("-----BEGIN CERTIFICATE-----\nMIIB\n"
                                           "-----END CERTIFICATE-----\n")));
    CHECK(refused(how, std::string(13'000, 'x')));
}

TEST_CASE("x-forwarded-client-cert is read by its keys, quoted values and all") {
    const auto how = by(member::uri, "urn:mission:", "", form::xfcc);
    CHECK(found(how,
                "By=spiffe://proxy.example/envoy;Hash=468ed33be74eee6556d90c0149c1309e9ba61d64"
                ";URI=urn:mission:m-1") == ids{"m-1"});
    CHECK(found(how, "Hash=x;Subject=\"/C=US;URI=urn:mission:evil,x\";URI=urn:mission:m-1") ==
          ids{"m-1"});
    CHECK(found(how, "hash=x;uri=urn:mission:m-1;URI=urn:mission:m-2") == ids{"m-1", "m-2"});
    CHECK(found(how, "Hash=x;DNS=urn:mission:m-1").empty());
    CHECK(found(by(member::dns, "", ".m.example", form::xfcc), "DNS=a.m.example;DNS=b.example") ==
          ids{"a"});
    CHECK(found(by(member::common_name, "mission-", "", form::xfcc),
                "Subject=\"CN=mission-m-1,O=x\"") == ids{"m-1"});
    // An escaped comma could hide a second name.
    CHECK(found(by(member::common_name, "mission-", "", form::xfcc),
                "Subject=\"O=x\\\\,CN=mission-m-1\"")
              .empty());
    // ... as Envoy writes it: RFC 2253's backslash alone.
    CHECK(found(by(member::common_name, "mission-", "", form::xfcc),
                "Subject=\"CN=agent-7,O=x\\,CN=mission-m-1\"")
              .empty());
    CHECK(refused(by(member::common_name, "mission-", "", form::xfcc),
                  "Subject=\"CN=mission-m-1\";Subject=\"CN=mission-m-2\""));
}

TEST_CASE("the certificates of several proxies in a row are refused") {
    const auto how = by(member::uri, "urn:mission:", "", form::xfcc);
    CHECK(refused(how, "URI=urn:mission:m-1,URI=urn:mission:m-2"));
    CHECK(refused(how, "Hash=x;Subject=\"CN=a\",Hash=y;URI=urn:mission:m-1"));
    CHECK(refused(how, "URI=\"urn:mission:m-1"));
    CHECK(refused(how, "URI=\"urn:mission:m-1\"x"));
    CHECK(refused(how, "nonsense"));
}
