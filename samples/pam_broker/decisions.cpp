#include "samples/pam_broker/decisions.hpp"

#include <openssl/rand.h>

#include <stdexcept>

#include "samples/common/subscriber.hpp"

namespace sample {

namespace ms = mission_signals;

void log_decision(const char* decision, const std::string& mission, const ms::answer& standing,
                  const char* action, std::string_view reason) {
    log_line(event_line("pam_broker", "decision")
                 .add("decision", decision)
                 .add("mission", mission)
                 .add("version", standing.version)
                 .add("action", action)
                 .add("reason", reason));
}

void deny(httplib::Response& response, const std::string& mission, const ms::answer& standing,
          const char* action) {
    log_decision("refuse", mission, standing, action, standing.reason());
    answer(response, 403, refusal_body(standing, mission));
}

bool may_have(ms::receiver& receiver, const std::string& audience, const std::string& mission,
              const std::string& secret, httplib::Response& response, ms::answer& standing) {
    auto [now, authority] = receiver.missions().look(mission);
    if (!now.permitted() || !authority) {
        receiver.missions().resolve(mission, std::chrono::seconds(2));
        std::tie(now, authority) = receiver.missions().look(mission);
    }
    standing = now;
    if (!now.permitted()) {
        deny(response, mission, now, "issue");
        return false;
    }
    if (authority && authority->permits(audience, "credentials." + secret)) return true;
    const std::string why = "the mission's authority does not cover " + secret;
    log_decision("refuse", mission, now, "issue", why);
    refuse(response, 403, "insufficient_authority", why);
    return false;
}

std::string random_name() {
    unsigned char octets[12];
    if (RAND_bytes(octets, sizeof octets) != 1) throw std::runtime_error("no randomness");
    std::string text;
    constexpr char digits[] = "0123456789abcdef";
    for (const unsigned char o : octets) {
        text += digits[o >> 4];
        text += digits[o & 15];
    }
    return text;
}

}  // namespace sample
