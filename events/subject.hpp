// Subject identifiers (RFC 9493; SSF 1.0 "Subject Members"): every format, and complex subjects.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::events {

// A simple subject is its format and its members, kept as strings (or a list of strings for
// ip-addresses, a list of subjects for aliases). A complex one is named simple subjects.
//
// Known formats are checked for exactly their required members (account, email, iss_sub, opaque,
// phone_number, did, uri, aliases; SSF's jwt_id, saml_assertion_id, ip-addresses; complex).
// Proprietary formats are accepted when all members are strings. Unknown extra members of a known
// format are dropped, as SSF has it for what is not understood.
struct subject {
    std::string format;
    std::map<std::string, std::string> members;  // simple string members
    std::vector<std::string> addresses;          // ip-addresses
    std::vector<subject> identifiers;            // aliases (RFC 9493 section 3.2.8)
    std::map<std::string, subject> complex;      // format "complex"

    bool is_complex() const noexcept { return format == "complex"; }
    friend bool operator==(const subject&, const subject&) = default;

    static subject opaque(std::string id);
    static subject iss_sub(std::string iss, std::string sub);
    static subject email(std::string address);
    static subject uri(std::string uri);
    static subject complex_of(std::map<std::string, subject> members);
};

// invalid_request with a sentence that names the member at fault. Sizes are bounded: 64 members,
// 2 KiB a string, 32 identifiers. A complex subject's members are simple, or aliases; nothing else
// nests.
result<subject> parse_subject(const json::value& v);
void write_subject(json::writer& w, const subject& s);
std::string to_json(const subject& s);

// A stable text that is equal exactly when the subjects are (email domain and host case folded per
// their formats: email domain lower-cased); the index key of simple subjects.
std::string canonical_key(const subject& s);

}  // namespace mission::events
