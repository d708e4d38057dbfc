// What a signal is about, as subject filters see it (wire.md section 3). Pure.
//
// A mission's signal answers to both of its forms, whichever is sent: the simple subject of the
// mission, and the complex one of mission, agent, person and tenant. Each of these is a *facet*: a
// simple subject, the member it stands in, and what a stream must be told to see it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "events/subject.hpp"
#include "store/rows.hpp"
#include "transmitter/streams/visibility.hpp"

namespace mission::transmitter {

// 128 bits of a keyed hash of a simple subject's canonical key: an index entry of fixed size that
// nobody outside can make collide.
struct subject_key {
    std::uint64_t high = 0, low = 0;
    friend bool operator==(const subject_key&, const subject_key&) = default;
};

class subject_hasher {
  public:
    explicit subject_hasher(std::string secret) : secret_(std::move(secret)) {}
    subject_key of(const events::subject& simple) const;
    subject_key of_text(std::string_view canonical) const;
    // A member's name, likewise.
    std::uint64_t of_name(std::string_view member) const;

  private:
    std::string secret_;
};

struct subject_facet {
    enum class needs { nothing, user, tenant, bridge };
    subject_key key;
    std::uint64_t member = 0;  // subject_hasher::of_name; 0: in no member
    needs what = needs::nothing;
    // A member the client may not know counts as not defined, so that adding a subject asks
    // nothing.
    bool visible_to(const stream_visibility& v) const noexcept {
        switch (what) {
            case needs::nothing:
                return true;
            case needs::user:
                return v.user;
            case needs::tenant:
                return v.tenant;
            case needs::bridge:
                return v.caep_bridge == "session";
        }
        return false;
    }
};

struct signal_subjects {
    std::vector<subject_facet> facets;
    // An emitted event of a simple subject (or of aliases): it has no members, so a complex subject
    // of a filter matches when any of its members is identical.
    bool simple_only = false;
};

// Of a mission's signal. `issuer_url` is the issuer that the agent's `iss_sub` names.
signal_subjects subjects_of(const store::match_keys& keys, std::string_view issuer_url,
                            const subject_hasher& hash);
// Of an emitted event.
signal_subjects subjects_of(const events::subject& s, const subject_hasher& hash);

}  // namespace mission::transmitter
