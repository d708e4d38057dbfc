// The audit's hash chain: each entry commits to the one before it of the same issuer, so that a
// changed, removed or inserted entry shows. What is cut off at the end does not show by itself:
// whoever wants to notice that keeps the hash of the last entry that was seen.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "store/rows.hpp"

namespace mission::store {

// `detail` as entries hold it: RFC 8785 text of a JSON object, or empty. What is no JSON object
// becomes {"text": ...}.
std::string audit_detail(std::string_view detail);

// What an entry's hash is taken of: RFC 8785 text of the record without `hash`. `issuer` is its
// URL; `e.detail` must be as audit_detail() makes it.
std::string audit_text(const audit_entry& e, std::string_view issuer);
// base64url of SHA-256 over that text.
std::string audit_hash(std::string_view text);
// The line of an export: the same record with its hash, without a line feed.
std::string audit_line(const audit_entry& e, std::string_view issuer);

// Reads an export, line after line, of one issuer or of several; each issuer's entries in order.
class audit_verifier {
  public:
    // `whole`: the export begins with each issuer's first entry. Otherwise the first line of an
    // issuer is taken on trust as to what came before it.
    explicit audit_verifier(bool whole = true) : whole_(whole) {}

    // store_corrupt, with a sentence that names the entry: no such record, its hash is not that of
    // its text, it does not follow the one before.
    result<void> take(std::string_view line);

  private:
    struct link {
        std::int64_t seq = 0;
        std::string hash;
    };
    bool whole_;
    std::map<std::string, link, std::less<>> last_;  // by issuer
};

}  // namespace mission::store
