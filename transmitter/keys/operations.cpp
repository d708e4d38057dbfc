// `keys list|rotate|revoke`.
#include <unistd.h>

#include <algorithm>

#include "transmitter/keys/key_folder.hpp"

namespace mission::transmitter {
namespace {

constexpr auto patience = std::chrono::seconds(10);

wall_time now_of(const key_ring_options& o) {
    return (o.time ? *o.time : system_clock()).now();
}

error no_keys(const std::string& directory) {
    return {errc::not_found, directory + ": has no keys yet; `serve` makes them"};
}

// Runs `fn` on the rules of a folder and makes durable what it did.
template <class Fn>
result<key_change> change(const std::string& directory, const key_ring_options& options,
                          key_operation asked, Fn fn) {
    // Nothing is made here, not even the lock.
    if (::access(directory.c_str(), F_OK) != 0) return no_keys(directory);
    const key_folder folder(directory);
    const wall_time now = now_of(options);
    auto editor = folder.edit(patience, now);
    if (!editor) return editor.error();
    if (editor->state.keys.empty()) return no_keys(directory);
    key_rules rules(editor->state, options, now, [&](jose::alg a) { return editor->make_key(a); });
    auto tended = rules.tend(nullptr);
    auto done = tended ? fn(rules) : result<key_change>(tended.error());
    if (!done) {
        asked.at = now;
        asked.outcome = "refused: " + done.error().detail;
        editor->refused(asked);
        return done.error();
    }
    if (!rules.operations().empty())
        if (auto written = editor->commit(rules.operations()); !written) return written.error();
    return done;
}

}  // namespace

result<key_change> rotate_key(const std::string& directory, jose::alg a,
                              const key_ring_options& options) {
    key_operation asked;
    asked.operation = "rotate";
    asked.alg = jose::name(a);
    return change(directory, options, asked, [&](key_rules& rules) { return rules.rotate(a); });
}

result<key_change> revoke_key(const std::string& directory, const std::string& kid,
                              const key_ring_options& options) {
    key_operation asked;
    asked.operation = "revoke";
    asked.kid = kid;
    return change(directory, options, asked, [&](key_rules& rules) { return rules.revoke(kid); });
}

result<std::vector<key_listing>> list_keys(const std::string& directory,
                                           const key_ring_options& options) {
    const key_folder folder(directory);
    const auto state = folder.load();
    if (!state) {
        if (state.error().code == errc::not_found) return no_keys(directory);
        return state.error();
    }
    std::vector<key_listing> out;
    for (const auto& k : state->keys) {
        key_listing l;
        l.kid = k.kid;
        l.alg = jose::name(k.algorithm);
        l.role = name(k.role);
        if (!k.file.empty()) l.file = directory + "/" + k.file;
        l.published_at = k.published_at;
        l.scheduled = k.rotate;
        switch (k.role) {
            case key_role::current:
                l.since = k.current_at;
                break;
            case key_role::next:
                if (k.published_at) l.until = *k.published_at + options.lead;
                break;
            case key_role::retained:
                l.since = k.retired_at;
                if (const auto keep = retention(k.algorithm, options))
                    l.until = *k.retired_at + *keep;
                break;
        }
        out.push_back(std::move(l));
    }
    for (const auto& k : state->revoked) {
        key_listing l;
        l.kid = k.kid;
        l.alg = jose::name(k.algorithm);
        l.role = "revoked";
        l.since = k.revoked_at;
        out.push_back(std::move(l));
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const auto& a, const auto& b) { return a.alg < b.alg; });
    return out;
}

}  // namespace mission::transmitter
