#include "samples/authorization_server/refresh_tokens.hpp"

#include <cstdio>
#include <stdexcept>

#include "samples/common/jwt.hpp"

namespace sample {
namespace {

std::string hash_of(std::string_view token) {
    return base64url(sha256(token));
}

std::string array_of(const std::vector<std::string>& texts) {
    rj::StringBuffer out;
    rj::Writer<rj::StringBuffer> writer(out);
    writer.StartArray();
    for (const auto& text : texts)
        writer.String(text.data(), static_cast<rj::SizeType>(text.size()));
    writer.EndArray();
    return {out.GetString(), out.GetSize()};
}

json_object grant_line(const grant& g) {
    json_object line;
    line.add("op", "grant")
        .add("grant", g.id)
        .add("mission", g.mission)
        .add("client_id", g.client_id)
        .add_raw("resources", array_of(g.resources))
        .add("expires_at", g.expires_at);
    return line;
}

json_object token_line(const std::string& grant_id, const std::string& hash,
                       const std::string& instead_of) {
    json_object line;
    line.add("op", "token").add("grant", grant_id).add("hash", hash);
    if (!instead_of.empty()) line.add("instead_of", instead_of);
    return line;
}

json_object end_line(const std::string& grant_id, const std::string& why) {
    json_object line;
    line.add("op", "end").add("grant", grant_id).add("why", why);
    return line;
}

}  // namespace

refresh_tokens::refresh_tokens(const std::string& path, std::int64_t now) {
    // Read through, written anew without what has expired, then opened to be added to.
    {
        const journal before(path, [this](const rj::Document& line) { take_line(line); });
    }
    compact(path, now);
}

void refresh_tokens::take_line(const rj::Document& line) {
    const auto op = text_member(line, "op");
    const auto id = text_member(line, "grant");
    if (op == "grant") {
        grant g{.id = id,
                .mission = text_member(line, "mission"),
                .client_id = text_member(line, "client_id"),
                .resources = {},
                .expires_at = int_member(line, "expires_at", 0),
                .ended = {}};
        if (const auto list = line.FindMember("resources");
            list != line.MemberEnd() && list->value.IsArray())
            for (const auto& one : list->value.GetArray())
                if (one.IsString())
                    g.resources.emplace_back(one.GetString(), one.GetStringLength());
        grants_[id] = std::move(g);
    } else if (op == "token" && grants_.count(id) != 0) {
        if (const auto before = tokens_.find(text_member(line, "instead_of"));
            before != tokens_.end())
            before->second.used = true;
        tokens_[text_member(line, "hash")] = {id, false};
    } else if (op == "used") {
        if (const auto at = tokens_.find(text_member(line, "hash")); at != tokens_.end())
            at->second.used = true;
    } else if (op == "end") {
        if (const auto at = grants_.find(id); at != grants_.end())
            at->second.ended = text_member(line, "why");
    }
}

void refresh_tokens::compact(const std::string& path, std::int64_t now) {
    std::erase_if(grants_, [&](const auto& g) { return g.second.expires_at <= now; });
    std::erase_if(tokens_, [&](const auto& t) { return grants_.count(t.second.grant_id) == 0; });
    const std::string next = path + ".new";
    std::remove(next.c_str());
    file_ = std::make_unique<journal>(next, [](const rj::Document&) {});
    for (const auto& [id, g] : grants_) {
        file_->append(grant_line(g));
        if (!g.ended.empty()) file_->append(end_line(id, g.ended));
    }
    for (const auto& [hash, t] : tokens_) {
        file_->append(token_line(t.grant_id, hash, {}));
        if (t.used) file_->append(json_object().add("op", "used").add("hash", hash));
    }
    if (std::rename(next.c_str(), path.c_str()) != 0)
        throw std::runtime_error(path + " cannot be replaced");
    sync_directory_of(path);
}

// Under the lock.
std::string refresh_tokens::issue(const std::string& grant_id, const std::string& instead_of) {
    const std::string token = random_text(32);
    const auto hash = hash_of(token);
    file_->append(token_line(grant_id, hash, instead_of));
    if (!instead_of.empty()) tokens_[instead_of].used = true;
    tokens_[hash] = {grant_id, false};
    return token;
}

std::string refresh_tokens::begin(const grant& g) {
    const std::lock_guard hold(lock_);
    file_->append(grant_line(g));
    grants_[g.id] = g;
    return issue(g.id, {});
}

refresh_tokens::found refresh_tokens::find(std::string_view token, std::int64_t now) const {
    const std::lock_guard hold(lock_);
    const auto t = tokens_.find(hash_of(token));
    if (t == tokens_.end()) return {};
    const auto& g = grants_.at(t->second.grant_id);
    if (g.expires_at <= now) return {};
    return {t->second.used ? standing::used : standing::good, g};
}

std::optional<std::string> refresh_tokens::rotate(std::string_view token, std::int64_t now,
                                                  const std::function<bool()>& still) {
    const std::lock_guard hold(lock_);
    const auto hash = hash_of(token);
    const auto t = tokens_.find(hash);
    if (t == tokens_.end() || t->second.used) return std::nullopt;
    const auto& g = grants_.at(t->second.grant_id);
    if (!g.ended.empty() || g.expires_at <= now) return std::nullopt;
    if (!still()) return std::nullopt;
    return issue(g.id, hash);
}

bool refresh_tokens::end(const std::string& grant_id, const std::string& why) {
    const std::lock_guard hold(lock_);
    const auto g = grants_.find(grant_id);
    if (g == grants_.end() || !g->second.ended.empty()) return false;
    // Refused from here on, whatever the disk says.
    g->second.ended = why;
    file_->append(end_line(grant_id, why));
    return true;
}

std::vector<grant> refresh_tokens::open() const {
    const std::lock_guard hold(lock_);
    std::vector<grant> out;
    for (const auto& [id, g] : grants_)
        if (g.ended.empty()) out.push_back(g);
    return out;
}

}  // namespace sample
