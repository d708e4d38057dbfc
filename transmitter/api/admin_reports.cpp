#include <charconv>
#include <map>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/api/report_routes.hpp"
#include "transmitter/api/report_views.hpp"

// GET /admin/reports and POST /admin/reports/{id}: the inbox of operators. What no rule of the
// configuration has acted on waits here for a person.

namespace mission::transmitter {
namespace {

constexpr std::size_t default_limit = 100;

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

struct page_request {
    std::optional<store::report_status> status;
    std::int64_t after = 0;  // the store's number of the last report of the page before
    std::size_t limit = default_limit;
};

constexpr std::string_view cursor_context = "reports cursor";

result<std::int64_t> number_of(std::string_view text, std::string what) {
    std::int64_t n = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (failed != std::errc{} || end != text.data() + text.size()) return invalid(std::move(what));
    return n;
}

result<page_request> read_page_request(const issuer_service& issuer,
                                       const net::http_request& http) {
    const auto query = query_of(http);
    if (!query) return query.error();
    page_request out;
    for (const auto& [name, value] : *query) {
        if (name == "status") {
            out.status = parse_report_status(value);
            if (!out.status) return invalid("status: must be open, acted or dismissed");
        } else if (name == "cursor") {
            const std::string wrong = "cursor: not one of this list";
            const auto sealed = jose::base64url_decode(value);
            if (!sealed) return invalid(wrong);
            const auto plain =
                jose::open_sealed(issuer.common->settings.secrets_key, cursor_context, *sealed);
            if (!plain) return invalid(wrong);
            const auto after = number_of(*plain, wrong);
            if (!after) return after.error();
            out.after = *after;
        } else if (name == "limit") {
            const auto limit = number_of(value, "limit: must be between 1 and 1000");
            if (!limit) return limit.error();
            if (*limit < 1 || static_cast<std::size_t>(*limit) > limits::list_page)
                return invalid("limit: must be between 1 and 1000");
            out.limit = static_cast<std::size_t>(*limit);
        }
    }
    return out;
}

// Which of its mission's reports each one is: what its name is made of.
class numbering {
  public:
    explicit numbering(const store::rows& rows) : rows_(rows) {}
    std::int64_t of(const store::report& r) {
        auto& ids = ids_[r.mission];
        if (ids.empty())
            for (const auto& other : rows_.reports_of(r.mission))
                ids.push_back(other.id);
        for (std::size_t i = 0; i < ids.size(); ++i)
            if (ids[i] == r.id) return static_cast<std::int64_t>(i) + 1;
        return 0;
    }

  private:
    const store::rows& rows_;
    std::map<store::mission_row, std::vector<std::int64_t>> ids_;
};

std::string page(const issuer_service& issuer, const page_request& request,
                 const store::rows& rows) {
    numbering numbers(rows);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::key(w, "reports");
    w.StartArray();
    const auto found = rows.reports(issuer.id, request.status, request.after, request.limit + 1);
    std::size_t shown = 0;
    std::int64_t last = request.after;
    for (const auto& r : found) {
        if (shown == request.limit || buffer.GetSize() > limits::poll_answer_bytes) break;
        write_report(w, r, report_id_of(issuer, {r.mission, numbers.of(r)}), report_reader::whole);
        last = r.id;
        ++shown;
    }
    w.EndArray();
    if (shown < found.size())
        json::member(
            w, "next_cursor",
            jose::base64url_encode(jose::seal(issuer.common->settings.secrets_key, cursor_context,
                                              std::to_string(last), *issuer.common->random)));
    w.EndObject();
    return json::text(buffer);
}

struct decide_request {
    report_place at;
    std::string report_id, decision, reason, txn;
    store::audit_entry by;
};

struct decided {
    std::string body;
    std::optional<error> refused;  // after what had to be written all the same
    std::vector<store::audit_entry> notes;
};

store::audit_entry attributed(const decide_request& request, const store::report& r) {
    auto by = request.by;
    by.detail = audit_members({{"report", request.report_id},
                               {"kind", r.kind},
                               {"reporter", r.client_id},
                               {"reason", request.reason},
                               {"txn", request.txn}});
    return by;
}

result<store::changes> decide(const issuer_service& issuer, const decide_request& request,
                              bool clock_ok, decided& out, const store::rows& rows, wall_time now) {
    out = {};
    auto r = find_report(rows, issuer, request.at);
    if (!r) return error{errc::not_found};
    if (r->status != store::report_status::open)
        return error{errc::mission_conflict, "the report has been decided"};
    settlement s(rows, context_of(issuer, rows, request.txn, now), clock_ok);
    auto m = *s.settle(r->mission);
    const auto by = attributed(request, *r);
    report_decision d;
    d.decision = request.decision;
    d.client = by.actor;
    d.reason = request.reason;
    d.at = now;
    d.outcome = "done";
    if (const auto what = parse_operation(request.decision)) {
        operation_request operation;
        operation.what = *what;
        operation.reason = request.reason;
        d.outcome =
            apply_for_report(s, m, issuer.settings.mirror, operation, "admin", by, out.notes);
        if (d.outcome.starts_with("refused"))
            out.refused = error{errc::mission_conflict,
                                issuer.settings.mirror
                                    ? "this issuer mirrors another: operate there"
                                    : "the mission is " + std::string(events::name(m.state.state))};
        r->status = store::report_status::acted;
    } else {
        out.notes.push_back(audit_note(by, "report.dismiss", r->mission_id, "done", by.detail));
        r->status = store::report_status::dismissed;
    }
    d.version = m.state.version;
    r->decision = to_json(d);
    auto changes = s.take();
    changes.audit.insert(changes.audit.end(), out.notes.begin(), out.notes.end());
    if (out.refused) return changes;  // the report stays open
    json::buffer buffer;
    json::writer w(buffer);
    write_report(w, *r, request.report_id, report_reader::whole);
    out.body = json::text(buffer);
    changes.reports.push_back(std::move(*r));
    return changes;
}

void post(issuer_service& issuer, const principal& who, const net::http_request& http,
          std::string id, const net::responder& respond) {
    const auto body = checked_body(http, "admin-report");
    if (!body) return respond(error_answer(body.error()));
    const auto at = parse_report_id(issuer, id);
    if (!at) return respond(error_answer({errc::not_found}));
    auto request = std::make_shared<decide_request>();
    request->at = *at;
    request->report_id = std::move(id);
    request->decision = std::string(*json::find_string(*body, "decision"));
    request->reason = std::string(*json::find_string(*body, "reason"));
    request->txn = new_txn(issuer);
    request->by = audited(issuer, who, http);
    auto out = std::make_shared<decided>();
    issuer.common->db->submit(
        [&issuer, request, out, clock_ok = clock_trusted(*issuer.common)](const store::rows& rows,
                                                                          wall_time now) {
            return decide(issuer, *request, clock_ok, *out, rows, now);
        },
        [out, respond](const result<store::receipt>& done) {
            if (!done) return respond(error_answer(done.error()));
            respond(out->refused ? error_answer(*out->refused) : json_answer(200, out->body));
        });
}

}  // namespace

void add_admin_report_routes(router& r, issuer_service& issuer, authenticator& auth) {
    r.add(
        "GET", "/admin/reports",
        [&issuer, &auth](net::http_request http, std::string, net::responder respond) {
            const auto who = auth.bearer_with(http, {"ssf.admin"});
            if (!who) return respond(error_answer(who.error()));
            const auto request = read_page_request(issuer, http);
            if (!request) return respond(error_answer(request.error()));
            auto text = std::make_shared<std::string>();
            issuer.common->db->read(
                [&issuer, text, request = *request](const store::rows& rows) {
                    *text = page(issuer, request, rows);
                },
                [text, respond](const result<void>& read) {
                    respond(read ? json_answer(200, std::move(*text)) : error_answer(read.error()));
                });
        });
    r.add("POST", "/admin/reports/*",
          [&issuer, &auth](net::http_request http, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(http, {"ssf.admin"});
              if (!who) return respond(error_answer(who.error()));
              post(issuer, *who, http, std::move(id), respond);
          });
}

}  // namespace mission::transmitter
