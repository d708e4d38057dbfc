#include <algorithm>
#include <charconv>
#include <memory>

#include "events/mission_event.hpp"
#include "store/audit.hpp"
#include "transmitter/api/report_routes.hpp"

// GET /admin/audit: the issuer's audit, page by page, as JSON or as JSON lines. Each entry is the
// line of store/audit.hpp, octet for octet, so that whoever reads it can recompute the chain.

namespace mission::transmitter {
namespace {

constexpr std::size_t default_limit = 100;
constexpr std::string_view lines_type = "application/x-ndjson";

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

struct audit_request {
    std::int64_t after = 0;  // the seq of the last entry of the page before
    std::size_t limit = 0;
    std::string mission_id;  // empty: of all
    bool lines = false;
};

template <class T>
bool parse_number(std::string_view text, T& out) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    return failed == std::errc{} && end == text.data() + text.size();
}

result<audit_request> read_request(const net::http_request& http) {
    const auto query = query_of(http);
    if (!query) return query.error();
    audit_request out;
    out.lines = http.fields.get("accept").find(lines_type) != std::string_view::npos;
    out.limit = out.lines ? limits::list_page : default_limit;
    for (const auto& [name, value] : *query) {
        if (name == "cursor") {
            if (!parse_number(value, out.after) || out.after < 0)
                return invalid("cursor: must be the seq of an entry");
        } else if (name == "limit") {
            if (!parse_number(value, out.limit) || out.limit == 0 || out.limit > limits::list_page)
                return invalid("limit: must be between 1 and 1000");
        } else if (name == "mission") {
            if (!events::valid_mission_id(value)) return invalid("mission: not a mission id");
            out.mission_id = value;
        }
    }
    return out;
}

struct audit_page {
    std::vector<std::string> lines;
    std::int64_t last = 0;  // seq
    bool more = false;
};

// Beside `limit` an answer is bounded in octets: an approval's entry may be long.
audit_page read_page(const issuer_service& issuer, const audit_request& request,
                     const store::rows& rows) {
    audit_page out;
    const auto found =
        request.mission_id.empty()
            ? rows.audit(issuer.id, request.after, request.limit + 1)
            : rows.audit_of(issuer.id, request.mission_id, request.after, request.limit + 1);
    std::size_t octets = 0;
    for (const auto& e : found) {
        if (out.lines.size() == request.limit || octets > limits::poll_answer_bytes) {
            out.more = true;
            break;
        }
        out.lines.push_back(store::audit_line(e, issuer.settings.url));
        octets += out.lines.back().size();
        out.last = e.seq;
    }
    return out;
}

net::http_response as_json(const audit_page& page) {
    std::string body = R"({"entries":[)";
    for (const auto& line : page.lines)
        body.append(body.back() == '[' ? "" : ",").append(line);
    body += ']';
    if (page.more) body += R"(,"next_cursor":")" + std::to_string(page.last) + '"';
    return json_answer(200, body + '}');
}

// Where the next page is stands in a Link (RFC 8288): lines are entries and nothing else.
net::http_response as_lines(const issuer_service& issuer, const audit_request& request,
                            const audit_page& page) {
    net::http_response r;
    r.fields.set("content-type", std::string(lines_type));
    r.fields.set("cache-control", "no-store");
    for (const auto& line : page.lines)
        r.body.append(line).append("\n");
    if (page.more) {
        auto next = issuer.url("/admin/audit") + "?cursor=" + std::to_string(page.last) +
                    "&limit=" + std::to_string(request.limit);
        if (!request.mission_id.empty()) next += "&mission=" + request.mission_id;
        r.fields.set("link", "<" + next + ">; rel=\"next\"");
    }
    return r;
}

}  // namespace

void add_admin_audit_route(router& r, issuer_service& issuer, authenticator& auth) {
    r.add("GET", "/admin/audit",
          [&issuer, &auth](net::http_request http, std::string, net::responder respond) {
              const auto who = auth.bearer_with(http, {"ssf.admin"});
              if (!who) return respond(error_answer(who.error()));
              const auto request = read_request(http);
              if (!request) return respond(error_answer(request.error()));
              auto page = std::make_shared<audit_page>();
              issuer.common->db->read(
                  [&issuer, page, request = *request](const store::rows& rows) {
                      *page = read_page(issuer, request, rows);
                  },
                  [&issuer, page, request = *request, respond](const result<void>& read) {
                      if (!read) return respond(error_answer(read.error()));
                      respond(request.lines ? as_lines(issuer, request, *page) : as_json(*page));
                  });
          });
}

}  // namespace mission::transmitter
