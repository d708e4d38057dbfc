// bench_token [--json FILE] [--runs N] [--seconds S]
//
// One core. Ours: the signal's change to a compact SET (`sign`), and a compact SET to a checked
// event (`verify`: parse, key, signature, claims, event). Raw EVP on the same bytes stands in the
// same run, in turn with ours, and so does cpp-jwt. The ratio is ours to raw EVP, in operations per
// CPU second.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "bench/harness.hpp"
#include "bench/token/yardsticks.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "jose/jws.hpp"

namespace {

using namespace mission;

events::mission_change sample_change() {
    events::mission_change c;
    c.mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";
    c.issuer = "https://mas.example.com";
    c.authority_hash = "sha-256:vUCCfjGulit9u0qJ0Z6pQSNerZtXMqRlfJNCr4PzLro";
    c.log_epoch = "6mIFoCz79uCHNzKLfBpBwg";
    c.state = "revoked";
    c.prior_state = "active";
    c.version = 7;
    c.committed_at = from_rfc3339("2026-11-02T09:06:40.123Z").value();
    c.expires_at = from_rfc3339("2026-12-31T23:59:59Z").value();
    c.tenant = "acme";
    c.reason = "The quarterly report is done";
    c.initiating_entity = "admin";
    c.reason_admin = {{"en", "The quarterly report is done"}};
    c.agent_client_id = "agent-reporting-7";
    c.user_iss = "https://idp.example.com";
    c.user_sub = "alice";
    return c;
}

// What the transmitter does for one signal and stream.
std::string build(const events::mission_change& c, const jose::signer& signer) {
    const events::set_envelope envelope{
        c.issuer, "https://erp.example.com", to_numeric_date(c.committed_at),
        "DHUg4zS3HHnWtXlO6hu9sTN_jX4LyjZ4tOJiTDAvWAI", "6mIFoCz79uCHNzKLfBpBwqFjoF"};
    return signer.sign(events::encode_mission_set(c, events::form::ours, envelope)).value();
}

// What the receiver does before it looks at its cache. wire.md section 5.
bool check(std::string_view token, const jose::key_set& keys) {
    static constexpr jose::alg allowed[] = {jose::alg::es256, jose::alg::rs256};
    const auto parsed = jose::parse_compact(token);
    if (!parsed || parsed->typ != events::set_typ) return false;
    if (!jose::verify(*parsed, keys, allowed)) return false;
    const auto set = events::decode(parsed->payload);
    if (!set || set->iss != "https://mas.example.com" ||
        set->aud.front() != "https://erp.example.com" || !set->sub_id)
        return false;
    return events::parse_mission_event(set->type, *set->event, *set->sub_id).has_value();
}

void must(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "bench_token: %s failed\n", what);
    std::exit(1);
}

struct series {
    std::vector<double> raw, ours, cpp_jwt, ratio, cpp_jwt_ratio;
    void add(const std::vector<double>& rates) {
        raw.push_back(rates[0]);
        ours.push_back(rates[1]);
        cpp_jwt.push_back(rates[2]);
        ratio.push_back(rates[1] / rates[0]);
        cpp_jwt_ratio.push_back(rates[2] / rates[0]);
    }
    void report_to(bench::report& r, const std::string& name) const {
        using bench::median;
        r.metrics.push_back({name + ".ratio", median(ratio), "of raw EVP", {}, median(ratio)});
        r.metrics.push_back(
            {name + ".rate_per_s", median(ours), "1/s", median(raw), median(ratio)});
        r.metrics.push_back({name + ".cpp_jwt_ratio",
                             median(cpp_jwt_ratio),
                             "of raw EVP",
                             {},
                             median(cpp_jwt_ratio)});
    }
};

void measure(jose::alg a, const std::string& name, int runs, double seconds, bench::report& r) {
    const auto key = jose::private_key::generate(a).value();
    const jose::signer signer(key, events::set_typ);
    jose::key_set keys;
    // A transmitter publishes its current, next and a retained key.
    for (int i = 0; i < 2; ++i)
        keys.add(jose::private_key::generate(jose::alg::es256).value().to_public());
    keys.add(key.to_public());

    const auto change = sample_change();
    const std::string token = build(change, signer);
    const std::string input = token.substr(0, token.rfind('.'));
    const std::string claims = jose::parse_compact(token).value().payload;
    const auto raw = bench::make_raw_evp(key);
    const auto other = bench::make_cpp_jwt(key);
    const std::string other_token = other->sign(claims);
    must(raw->sign(input) > 0 && raw->verify(input), "raw EVP");
    must(check(token, keys), "our verification");
    must(other->verify(other_token), "cpp-jwt");

    series sign, verify;
    for (int run = 0; run < runs; ++run) {
        sign.add(bench::interleaved_rates(
            {[&] { raw->sign(input); }, [&] { must(!build(change, signer).empty(), "sign"); },
             [&] { must(!other->sign(claims).empty(), "cpp-jwt"); }},
            seconds));
        verify.add(bench::interleaved_rates(
            {[&] { must(raw->verify(input), "raw"); }, [&] { must(check(token, keys), "verify"); },
             [&] { must(other->verify(other_token), "cpp-jwt"); }},
            seconds));
    }
    sign.report_to(r, "sign." + name);
    verify.report_to(r, "verify." + name);
    r.parameters.emplace_back(name + ".token_bytes", std::to_string(token.size()));
}

}  // namespace

int main(int argc, char** argv) {
    std::string json_file;
    int runs = 5;
    double seconds = 0.5;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--json")
            json_file = argv[i + 1];
        else if (option == "--runs")
            runs = std::atoi(argv[i + 1]);
        else if (option == "--seconds")
            seconds = std::atof(argv[i + 1]);
        else
            must(false, "reading the options");
    }
    must(argc % 2 == 1 && runs > 0 && seconds > 0, "reading the options");
    bench::report r;
    r.benchmark = "token";
    r.runs = runs;
    r.parameters = {{"seconds_per_run", std::to_string(seconds)}};
    measure(jose::alg::es256, "es256", runs, seconds, r);
    measure(jose::alg::rs256, "rs256", runs, seconds, r);
    return bench::finish(r, json_file);
}
