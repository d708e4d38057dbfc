#include "transmitter/keys/key_ring.hpp"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <utility>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/keys/key_folder.hpp"
#include "transmitter/keys/private_file.hpp"
#include "transmitter/log.hpp"

namespace mission::transmitter {
namespace {

constexpr std::string_view set_typ = "secevent+jwt";
constexpr std::string_view status_typ = "mission-status-response+jwt";
constexpr std::string_view management_typ = "mission-management-response+jwt";
constexpr auto open_patience = std::chrono::seconds(10);

// What is handed out: never changed, replaced as a whole.
struct snapshot {
    snapshot(jose::private_key es256_key, jose::private_key rs256_key)
        : es256(es256_key, set_typ),
          rs256(std::move(rs256_key), set_typ),
          status(es256_key, status_typ),
          management(std::move(es256_key), management_typ) {}

    jose::signer es256, rs256, status, management;
    std::string jwks;
    std::vector<std::string> kids;  // in the JWKS
};

result<std::shared_ptr<const snapshot>> make_snapshot(const key_folder& folder,
                                                      const key_state& state) {
    std::optional<jose::private_key> es256, rs256;
    jose::key_set published;
    std::vector<std::string> kids;
    for (const auto role : {key_role::current, key_role::next, key_role::retained}) {
        for (const auto& k : state.keys) {
            if (k.role != role) continue;
            if (!k.file.empty()) {
                // The next one too: better an error today than at its first signature.
                auto key = folder.load_private(k);
                if (!key) return key.error();
                if (role == key_role::current)
                    (k.algorithm == jose::alg::es256 ? es256 : rs256) = std::move(*key);
            }
            const auto doc = json::parse(k.jwk);
            if (!doc) return doc.error();
            auto key = jose::public_key::from_jwk(*doc);
            if (!key) return key.error();
            published.add(std::move(*key));
            kids.push_back(k.kid);
        }
    }
    if (!es256 || !rs256)
        return error{errc::key_unreadable, folder.path() + ": there is no current key"};
    auto made = std::make_shared<snapshot>(std::move(*es256), std::move(*rs256));
    made->jwks = published.to_json();
    made->kids = std::move(kids);
    return std::shared_ptr<const snapshot>(std::move(made));
}

class folder_key_ring final : public key_ring {
  public:
    folder_key_ring(const std::string& directory, key_ring_options options)
        : folder_(directory), options_(options) {}

    // Once, before anything else.
    result<void> open() {
        if (auto made = make_private_folder(folder_.path()); !made) return made;
        return tend(nullptr, open_patience);
    }

    std::shared_ptr<const jose::signer> set_signer(jose::alg a) const override {
        auto s = now();
        const auto* one = a == jose::alg::rs256 ? &s->rs256 : &s->es256;
        return {std::move(s), one};
    }
    std::shared_ptr<const jose::signer> status_signer() const override {
        auto s = now();
        const auto* one = &s->status;
        return {std::move(s), one};
    }
    std::shared_ptr<const jose::signer> management_signer() const override {
        auto s = now();
        const auto* one = &s->management;
        return {std::move(s), one};
    }
    std::shared_ptr<const std::string> jwks_json() const override {
        auto s = now();
        const auto* one = &s->jwks;
        return {std::move(s), one};
    }

    result<bool> refresh() override {
        const std::lock_guard one_at_a_time(refreshing_);
        bool changed = false;
        if (const auto seen = folder_.look(); seen != stamp_) {
            auto state = folder_.load();
            if (!state) return unreadable(state.error());
            if (auto taken = take(std::move(*state), seen); !taken) return taken.error();
            changed = true;
        }
        const auto served = now()->kids;
        if (!key_rules(state_, options_, time().now(), {}).due(&served)) return changed;
        if (auto tended = tend(&served, std::chrono::milliseconds(0)); !tended)
            return tended.error();
        return true;
    }

  private:
    const clock& time() const { return options_.time ? *options_.time : system_clock(); }

    std::shared_ptr<const snapshot> now() const {
        const std::lock_guard lock(mutex_);
        return snapshot_;
    }

    static error unreadable(const error& e) {
        return {e.code == errc::not_found ? errc::key_unreadable : e.code, e.detail};
    }

    // A state that cannot be used replaces nothing.
    result<void> take(key_state state, key_folder::stamp seen) {
        auto made = make_snapshot(folder_, state);
        if (!made) return unreadable(made.error());
        const bool first = !snapshot_;
        const auto es256 = (*made)->es256.key().kid();
        const auto rs256 = (*made)->rs256.key().kid();
        if (first || es256 != snapshot_->es256.key().kid() ||
            rs256 != snapshot_->rs256.key().kid() || (*made)->jwks != snapshot_->jwks)
            log(level::info, first ? "signing keys" : "signing keys changed",
                {{"folder", folder_.path()}, {"es256", es256}, {"rs256", rs256}});
        {
            const std::lock_guard lock(mutex_);
            snapshot_ = std::move(*made);
        }
        state_ = std::move(state);
        stamp_ = seen;
        return {};
    }

    // Does what is due and takes the result. `served`: see key_rules::tend.
    result<void> tend(const std::vector<std::string>* served, std::chrono::milliseconds patience) {
        const wall_time at = time().now();
        auto editor = folder_.edit(patience, at);
        if (!editor) return editor.error();
        key_rules rules(editor->state, options_, at,
                        [&](jose::alg a) { return editor->make_key(a); });
        const bool is_new = editor->state.last_number == 0;
        if (auto done = rules.tend(served); !done) return done;
        if (is_new || !rules.operations().empty()) {
            for (const auto& o : rules.operations())
                log(level::info, "signing key", {{"operation", o.operation}, {"kid", o.kid}});
            if (auto written = editor->commit(rules.operations()); !written) return written;
        }
        // Under the lock: the stamp belongs to this state.
        return take(std::move(editor->state), folder_.look());
    }

    const key_folder folder_;
    const key_ring_options options_;
    std::mutex refreshing_;
    key_state state_;  // under refreshing_
    key_folder::stamp stamp_;
    mutable std::mutex mutex_;
    std::shared_ptr<const snapshot> snapshot_;
};

}  // namespace

result<std::unique_ptr<key_ring>> open_key_ring(const std::string& directory,
                                                key_ring_options options) {
    auto ring = std::make_unique<folder_key_ring>(directory, options);
    if (auto opened = ring->open(); !opened) return opened.error();
    return std::unique_ptr<key_ring>(std::move(ring));
}

std::string issuer_folder(std::string_view issuer_url) {
    std::string out;
    const auto scheme_end = issuer_url.find("://");
    const auto readable =
        scheme_end == std::string_view::npos ? issuer_url : issuer_url.substr(scheme_end + 3);
    for (const char c : readable.substr(0, 64)) {
        const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || (c == '.' && !out.empty());
        out += safe ? c : '_';
    }
    return out + "-" + jose::base64url_encode(jose::view(jose::sha256(issuer_url)).substr(0, 6));
}

result<std::string> load_secret_key(const std::string& file) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
        const auto folder = fs::path(file).parent_path().string();
        if (!folder.empty())
            if (auto made = make_private_folder(folder); !made) return made.error();
        if (auto written = write_private_file(file, jose::random_id(32) + "\n"); !written)
            return written.error();
    }
    const auto text = read_private_file(file);
    if (!text) return text.error();
    std::string_view trimmed = *text;
    while (!trimmed.empty() && (trimmed.back() == '\n' || trimmed.back() == '\r'))
        trimmed.remove_suffix(1);
    auto key = jose::base64url_decode(trimmed);
    if (!key || key->size() != 32)
        return error{errc::key_malformed, file + ": is not 32 octets in base64url"};
    return key;
}

}  // namespace mission::transmitter
