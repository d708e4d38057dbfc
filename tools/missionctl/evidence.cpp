#include <fstream>
#include <iterator>
#include <map>
#include <ostream>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "tools/missionctl/answers.hpp"
#include "tools/missionctl/print.hpp"

// What happened: reports, versions, and the audit.

namespace mission::tools {
namespace {

result<std::string> read_evidence(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in.eof() && in.fail()) return error{errc::io_error, "cannot read " + file};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    if (text.empty()) return error{errc::io_error, "no JWS in " + file};
    return text;
}

// Checks what the transmitter's audit claims of itself, with code of our own: each entry is the
// hash of its RFC 8785 text, and names the hash of the one before it of its issuer.
class chain {
  public:
    explicit chain(bool whole) : whole_(whole) {}
    // "" or what is wrong.
    std::string take(std::string_view line) {
        auto record = json::parse(line);
        if (!record || !record->IsObject()) return "a line is no JSON object";
        const auto seq = json::find_int(*record, "seq");
        const std::string issuer(json::find_string(*record, "issuer").value_or(""));
        const std::string hash(json::find_string(*record, "hash").value_or(""));
        const std::string previous(json::find_string(*record, "previous").value_or(""));
        if (!seq || issuer.empty() || hash.empty()) return "a line is no audit entry";
        const auto entry = "entry " + std::to_string(*seq);
        record->RemoveMember("hash");
        const auto text = json::canonical(*record);
        if (!text || jose::base64url_encode(jose::view(jose::sha256(*text))) != hash)
            return entry + " was changed: its hash is another";
        const auto before = last_.find(issuer);
        if (before == last_.end() ? whole_ && !previous.empty()
                                  : previous != before->second.hash || *seq <= before->second.seq)
            return entry + " does not follow the one before it";
        last_[issuer] = {*seq, hash};
        ++count_;
        return {};
    }
    std::string summary() const {
        if (count_ == 0) return "the audit is empty\n";
        std::string out;
        for (const auto& [issuer, last] : last_)
            out += "the chain of " + issuer + " holds: " + std::to_string(count_) +
                   " entries up to " + std::to_string(last.seq) + ", hash " + last.hash + "\n";
        return out;
    }

  private:
    struct link {
        std::int64_t seq = 0;
        std::string hash;
    };
    const bool whole_;
    std::size_t count_ = 0;
    std::map<std::string, link> last_;
};

std::string with_query(const std::string& path, const form_fields& query) {
    return path + (query.empty() ? "" : "?" + net::encode_form(query));
}

// The entries of one page of JSON lines.
std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::size_t at = 0;
    while (at < text.size()) {
        const auto end = std::min(text.find('\n', at), text.size());
        if (end > at) out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

}  // namespace

result<shown> report(const invocation& typed, session& to) {
    json::document request;
    request.SetObject();
    set_text(request, "kind", typed.kind);
    if (typed.event.empty()) {
        set(request, "detail", json::make_string(typed.detail, request.GetAllocator()));
    } else {
        const auto detail = json::parse(typed.event);
        if (!detail) return error{detail.error().code, "detail: " + detail.error().detail};
        set(request, "detail", json::value(*detail, request.GetAllocator()));
    }
    if (!typed.file.empty()) {
        auto evidence = read_evidence(typed.file);
        if (!evidence) return evidence.error();
        set_text(request, "evidence", *evidence);
    }
    const std::string key =
        typed.idempotency_key.empty() ? jose::random_id(24) : typed.idempotency_key;
    auto reply = to.call("POST", "/missions/" + typed.id + "/reports", json::write(request),
                         "mission.read", true, {{"idempotency-key", key}});
    if (!reply) return reply.error();
    return shown{reply->text, print_stream(reply->body), 0};
}

result<shown> reports(const invocation& typed, session& to) {
    form_fields query;
    if (!typed.cursor.empty()) query.emplace_back("cursor", typed.cursor);
    return get(to, with_query("/missions/" + typed.id + "/reports", query), "mission.read",
               print_reports);
}

result<shown> inbox(const invocation& typed, session& to) {
    form_fields query;
    if (!typed.state.empty()) query.emplace_back("status", typed.state);
    if (!typed.cursor.empty()) query.emplace_back("cursor", typed.cursor);
    if (typed.limit > 0) query.emplace_back("limit", std::to_string(typed.limit));
    return get(to, with_query("/admin/reports", query), "ssf.admin", print_reports);
}

result<shown> decide(const invocation& typed, session& to) {
    json::document request;
    request.SetObject();
    set_text(request, "decision", typed.decision);
    set_text(request, "reason", typed.reason);
    auto reply = to.call("POST", "/admin/reports/" + net::percent_encode(typed.id),
                         json::write(request), "ssf.admin", false);
    if (!reply) return reply.error();
    return shown{reply->text, print_stream(reply->body), 0};
}

result<shown> history(const invocation& typed, session& to) {
    return get(to, "/missions/" + typed.id + "/history", "mission.read", print_history);
}

int audit(const invocation& typed, session& to, std::ostream& out, std::ostream& err) {
    const auto failed = [&](const std::string& why) {
        err << "missionctl: " << why << "\n";
        return 1;
    };
    // From the first entry on the chain must begin with nothing before it.
    chain checked(typed.cursor.empty());
    std::string cursor = typed.cursor;
    int left = typed.limit;
    bool heads = true;
    for (;;) {
        form_fields query;
        if (!cursor.empty()) query.emplace_back("cursor", cursor);
        if (!typed.mission_id.empty()) query.emplace_back("mission", typed.mission_id);
        if (left > 0) query.emplace_back("limit", std::to_string(left));
        const auto page = to.fetch(with_query("/admin/audit", query), "ssf.admin",
                                   {{"accept", "application/x-ndjson"}});
        if (!page)
            return failed(page.error().detail.empty() ? page.error().message()
                                                      : page.error().detail);
        const auto lines = lines_of(*page);
        if (lines.empty()) break;
        std::vector<json::document> entries;
        for (const auto& line : lines) {
            auto entry = json::parse(line);
            if (!entry) return failed("a line of the audit is no JSON");
            cursor = std::to_string(json::find_int(*entry, "seq").value_or(0));
            if (typed.verify)
                if (const auto wrong = checked.take(line); !wrong.empty()) return failed(wrong);
            if (typed.json && !typed.verify) out << line << "\n";
            entries.push_back(std::move(*entry));
        }
        if (!typed.json && !typed.verify) out << print_audit(entries, std::exchange(heads, false));
        if (!out.flush()) return 1;
        if (left > 0 && (left -= static_cast<int>(lines.size())) <= 0) break;
    }
    if (typed.verify) out << checked.summary();
    return out.flush() ? 0 : 1;
}

}  // namespace mission::tools
