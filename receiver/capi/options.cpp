// ms_options: mission_signals::options by the names of its members.
#include <algorithm>
#include <charconv>
#include <iterator>

#include "receiver/capi/handles.hpp"

namespace mission::receiver::capi {
namespace {

struct text_key {
    const char* name;
    std::string ms::options::*at;
};
constexpr text_key texts[] = {
    {"issuer", &ms::options::issuer},
    {"metadata_url", &ms::options::metadata_url},
    {"ca_file", &ms::options::ca_file},
    {"client_id", &ms::options::client_id},
    {"private_key_file", &ms::options::private_key_file},
    {"private_key_id", &ms::options::private_key_id},
    {"client_secret", &ms::options::client_secret},
    {"certificate_file", &ms::options::certificate_file},
    {"certificate_key_file", &ms::options::certificate_key_file},
    {"token", &ms::options::token},
    {"audience", &ms::options::audience},
    {"description", &ms::options::description},
    {"push_listen", &ms::options::push_listen},
    {"push_certificate_file", &ms::options::push_certificate_file},
    {"push_private_key_file", &ms::options::push_private_key_file},
    {"push_public_url", &ms::options::push_public_url},
    {"push_authorization_header", &ms::options::push_authorization_header},
    {"stream_id", &ms::options::stream_id},
    {"metadata_json", &ms::options::metadata_json},
    {"token_endpoint", &ms::options::token_endpoint},
    {"token_scope", &ms::options::token_scope},
    {"state_path", &ms::options::state_path},
    {"reports_url", &ms::options::reports_url},
};

struct list_key {
    const char* name;
    std::vector<std::string> ms::options::*at;
};
constexpr list_key lists[] = {
    {"events", &ms::options::events},
    {"mission_issuers", &ms::options::mission_issuers},
    {"subjects", &ms::options::subjects},
    {"token_hosts", &ms::options::token_hosts},
};

struct truth_key {
    const char* name;
    bool& (*of)(ms::options&);
};
constexpr truth_key truths[] = {
    {"client_secret_post", [](ms::options& o) -> bool& { return o.client_secret_post; }},
    {"teardown_reports", [](ms::options& o) -> bool& { return o.teardown_reports; }},
    {"replace_stream", [](ms::options& o) -> bool& { return o.replace_stream; }},
    {"quirks.typ_missing", [](ms::options& o) -> bool& { return o.quirks.typ_missing; }},
    {"quirks.issuer_slash", [](ms::options& o) -> bool& { return o.quirks.issuer_slash; }},
    {"quirks.created_with_200", [](ms::options& o) -> bool& { return o.quirks.created_with_200; }},
    {"quirks.several_events", [](ms::options& o) -> bool& { return o.quirks.several_events; }},
};

template <class Table>
auto find(const Table& table, std::string_view key) {
    const auto at = std::find_if(std::begin(table), std::end(table),
                                 [&](const auto& k) { return k.name == key; });
    return at == std::end(table) ? nullptr : at;
}

std::uint64_t whole_number(std::string_view key, std::string_view value, std::uint64_t most) {
    std::uint64_t n = 0;
    const auto r = std::from_chars(value.data(), value.data() + value.size(), n);
    if (r.ec != std::errc() || r.ptr != value.data() + value.size() || n > most) {
        refuse(MS_E_ARGUMENT,
               std::string(key) + ": has to be a whole number of at most " + std::to_string(most));
    }
    return n;
}

// Generous: what makes sense is said where it is used.
constexpr std::uint64_t threads_max = 1024;
constexpr std::uint64_t missions_max = 1'000'000'000;
constexpr std::uint64_t poll_timeout_max_ms = 24 * 3600 * 1000;

bool set_other(ms::options& o, std::string_view key, std::string_view value) {
    if (key == "delivery") {
        if (value != "poll" && value != "push") refuse(MS_E_ARGUMENT, "delivery: poll or push");
        o.delivery = value == "push" ? ms::delivery::push : ms::delivery::poll;
    } else if (key == "poll_timeout_ms") {
        o.poll_timeout = std::chrono::milliseconds(whole_number(key, value, poll_timeout_max_ms));
    } else if (key == "worker_threads") {
        o.worker_threads = static_cast<unsigned>(whole_number(key, value, threads_max));
    } else if (key == "max_missions") {
        o.max_missions = whole_number(key, value, missions_max);
    } else {
        return false;
    }
    return true;
}

void set(ms::options& o, std::string_view key, std::string_view value) {
    if (const auto* t = find(texts, key)) {
        o.*t->at = value;
    } else if (const auto* l = find(lists, key)) {
        o.*l->at = {std::string(value)};
    } else if (const auto* b = find(truths, key)) {
        if (value != "true" && value != "false") {
            refuse(MS_E_ARGUMENT, std::string(key) + ": true or false");
        }
        b->of(o) = value == "true";
    } else if (!set_other(o, key, value)) {
        refuse(MS_E_ARGUMENT, "there is no option of this name: " + std::string(key));
    }
}

}  // namespace
}  // namespace mission::receiver::capi

using namespace mission::receiver::capi;

struct ms_job {
    std::function<void()> run;
};

ms_options* ms_options_new(void) {
    ms_options* made = nullptr;
    (void)guarded([&] { made = new ms_options; });
    return made;
}

void ms_options_free(ms_options* options) {
    delete options;
}

ms_result ms_options_set(ms_options* options, const char* key, const char* value) {
    return guarded(
        [&] { set(need(options, "options")->value, need(key, "key"), need(value, "value")); });
}

ms_result ms_options_add(ms_options* options, const char* key, const char* value) {
    return guarded([&] {
        need(options, "options");
        const auto* l = find(lists, need(key, "key"));
        if (l == nullptr) refuse(MS_E_ARGUMENT, std::string(key) + ": is no list");
        (options->value.*l->at).emplace_back(need(value, "value"));
    });
}

ms_result ms_options_on_log(ms_options* options, ms_log_fn log, void* user, ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need(options, "options");
        need(log, "log");
        options->value.log = [log, held](ms::log_level level, std::string_view message,
                                         const std::vector<ms::log_field>& fields) {
            static_assert(static_cast<int>(ms::log_level::debug) == MS_LOG_DEBUG &&
                          static_cast<int>(ms::log_level::info) == MS_LOG_INFO &&
                          static_cast<int>(ms::log_level::warning) == MS_LOG_WARNING &&
                          static_cast<int>(ms::log_level::error) == MS_LOG_ERROR);
            // Names are views of any length: given an end.
            std::vector<std::string> names;
            std::vector<ms_log_field> out;
            names.reserve(fields.size());
            out.reserve(fields.size());
            for (const auto& f : fields)
                out.push_back({names.emplace_back(f.name).c_str(), f.value.c_str()});
            log(held.get(), static_cast<ms_log_level>(level), std::string(message).c_str(),
                out.data(), out.size());
        };
    });
}

ms_result ms_options_on_run(ms_options* options, ms_run_fn run, void* user, ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need(options, "options");
        need(run, "run");
        options->value.run = [run, held](std::function<void()> job) {
            run(held.get(), new ms_job{std::move(job)});
        };
    });
}

void ms_job_run(ms_job* job) {
    if (job == nullptr) return;
    (void)guarded([&] { job->run(); });
    delete job;
}

void ms_job_drop(ms_job* job) {
    delete job;
}
