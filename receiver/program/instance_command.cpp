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
    if (!for_people(typed))
        std::cout << body << "\n";
    else if (parsed && parsed->IsArray() && !columns.empty())
        std::cout << table(*parsed, columns);
    else
        std::cout << pretty(body) << "\n";
}

const std::vector<std::string_view> task_columns{
    "key", "handler", "effect", "mission_id", "name", "attempt", "last", "state", "evidence"};

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
        const auto it = std::find_if(tasks->begin(), tasks->end(),
                                     [&](const auto& t) { return t.key == typed.key; });
        if (it == tasks->end() || !it->open())
            return failed({errc::not_found, "no open task has that key"});
        // Open tasks are due at once when an instance starts: nothing has to be marked.
        std::cerr << "no instance runs: it is tried when one starts\n";
        return 0;
    }
    std::vector<ms::task_view> views;
    for (const auto& t : *tasks)
        if (typed.all || t.open()) views.push_back(view_of(t));
    show(typed, to_json(views), task_columns);
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
    const auto a =
        retry ? ask_control(c.control_socket, "POST", "/tasks/retry", object({{"key", typed.key}}))
              : ask_control(c.control_socket, "GET", typed.all ? "/tasks?all=1" : "/tasks");
    if (!a) return a.error() == errc::not_found ? tasks_at_rest(typed, c) : failed(a.error());
    if (a->status != 200) return refused(*a);
    if (!retry) show(typed, a->body, task_columns);
    return 0;
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
