// Commands that ask a running instance over its control socket; tasks also of a state at rest.

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "base/json.hpp"
#include "net/http.hpp"
#include "receiver/program/commands.hpp"
#include "receiver/program/control.hpp"
#include "receiver/program/views.hpp"
#include "receiver/state/look.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver::program {
namespace {

int failed(const error& e) {
    std::cerr << "mission-receiver: " << (e.detail.empty() ? e.message() : e.detail) << "\n";
    return 1;
}

// The control socket's refusals are {"error","error_description"}.
int refused(const control_answer& a) {
    const auto parsed = json::parse(a.body);
    const auto why = parsed ? json::find_string(*parsed, "error_description") : std::nullopt;
    std::cerr << "mission-receiver: "
              << (why ? std::string(*why) : "refused (" + std::to_string(a.status) + ")") << "\n";
    return 1;
}

bool for_people(const invocation& typed) {
    return !typed.json && ::isatty(STDOUT_FILENO) != 0;
}

void show(const invocation& typed, const std::string& body,
          const std::vector<std::string_view>& columns = {}) {
    const auto parsed = json::parse(body, limits::http_response_bytes);
    const bool tasks = typed.what == verb::tasks_list;
    if (!for_people(typed))
        std::cout << body << "\n";
    else if (parsed && tasks)
        std::cout << task_table(*parsed, system_clock().now());
    else if (parsed && parsed->IsArray() && !columns.empty())
        std::cout << table(*parsed, columns);
    else
        std::cout << pretty(body) << "\n";
}

bool wanted(const invocation& typed, const task_record& t) {
    return (typed.mission_id.empty() || t.mission.id == typed.mission_id) &&
           (typed.handler.empty() || t.handler == typed.handler);
}

int told_retried(const invocation& typed, std::size_t tasks, const char* when) {
    if (!typed.json) std::cerr << tasks << (tasks == 1 ? " task" : " tasks") << when << "\n";
    return 0;
}

// Nobody runs: the file says what was left to do.
int tasks_at_rest(const invocation& typed, const program_config& c) {
    const auto tasks = tasks_in(c.options.state_path);
    if (!tasks) {
        if (tasks.error() == errc::store_locked)
            return failed({errc::store_locked, c.options.state_path +
                                                   " is in use by a process whose control socket "
                                                   "does not answer"});
        return failed(tasks.error());
    }
    if (typed.what == verb::tasks_retry) {
        const auto count = std::count_if(tasks->begin(), tasks->end(), [&](const auto& t) {
            return t.open() && (typed.key.empty() ? wanted(typed, t) : t.key == typed.key);
        });
        if (count == 0 && !typed.key.empty())
            return failed({errc::not_found, "no open task has that key"});
        // Open tasks are due at once when an instance starts: nothing has to be marked.
        return told_retried(typed, static_cast<std::size_t>(count),
                            ": no instance runs, tried when one starts");
    }
    std::vector<ms::task_view> views;
    for (const auto& t : *tasks)
        if ((typed.all || t.open()) && wanted(typed, t)) views.push_back(view_of(t));
    show(typed, to_json(views));
    return 0;
}

std::string object(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    for (const auto& [name, text] : members)
        json::member(w, name, text);
    w.EndObject();
    return json::text(b);
}

std::string retry_body(const invocation& typed) {
    if (!typed.key.empty()) return object({{"key", typed.key}});
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (typed.all) {
        json::key(w, "all");
        w.Bool(true);
    }
    if (!typed.mission_id.empty()) json::member(w, "mission_id", typed.mission_id);
    if (!typed.handler.empty()) json::member(w, "handler", typed.handler);
    w.EndObject();
    return json::text(b);
}

int hold(const invocation& typed, const program_config& c) {
    auto data = typed.data;
    if (typed.pid != 0) {
        const auto group = ms::process_group::of(typed.pid);
        if (!group) return failed({errc::not_found, "there is no such process"});
        data = group->to_data();
    }
    const auto a = ask_control(
        c.control_socket, "POST", "/holds",
        object({{"mission_id", typed.mission_id}, {"name", typed.name}, {"data", data}}));
    if (!a) return failed(a.error());
    return a->status == 201 ? 0 : refused(*a);
}

// The member `name` of the answer is true.
bool says(const control_answer& a, std::string_view name) {
    const auto parsed = json::parse(a.body);
    return parsed && json::find_bool(*parsed, name).value_or(false);
}

}  // namespace

int run_tasks(const invocation& typed, const program_config& c) {
    const bool retry = typed.what == verb::tasks_retry;
    const auto a = retry ? ask_control(c.control_socket, "POST", "/tasks/retry", retry_body(typed))
                         : ask_control(c.control_socket, "GET",
                                       "/tasks?all=" + std::string(typed.all ? "1" : "0") +
                                           "&mission_id=" + net::percent_encode(typed.mission_id) +
                                           "&handler=" + net::percent_encode(typed.handler));
    if (!a) return a.error() == errc::not_found ? tasks_at_rest(typed, c) : failed(a.error());
    if (a->status != 200) return refused(*a);
    if (!retry) {
        show(typed, a->body);
        return 0;
    }
    if (typed.json) std::cout << a->body << "\n";
    const auto said = json::parse(a->body);
    const auto count = said ? json::find_int(*said, "tasks").value_or(1) : 1;
    return told_retried(typed, static_cast<std::size_t>(count), " tried now");
}

int run_instance(const invocation& typed, const program_config& c) {
    const auto id = net::percent_encode(typed.mission_id);
    if (typed.what == verb::hold) return hold(typed, c);
    if (typed.what == verb::release) {
        const auto a =
            ask_control(c.control_socket, "DELETE",
                        "/holds?mission_id=" + id + "&name=" + net::percent_encode(typed.name));
        if (!a) return failed(a.error());
        return a->status == 204 ? 0 : refused(*a);
    }
    const auto target = typed.what == verb::status ? std::string("/status")
                        : typed.what == verb::check
                            ? "/missions/" + id + (typed.resolve ? "?resolve=1" : "")
                            : "/holds" + (id.empty() ? "" : "?mission_id=" + id);
    const auto a = ask_control(c.control_socket, "GET", target);
    if (!a) return failed(a.error());
    if (a->status != 200) return refused(*a);
    show(typed, a->body, {"mission_id", "name", "data"});
    if (typed.what == verb::status) return says(*a, "streaming") ? 0 : 1;
    if (typed.what == verb::check) return says(*a, "permitted") ? 0 : 1;
    return 0;
}

}  // namespace mission::receiver::program
