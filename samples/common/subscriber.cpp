#include "samples/common/subscriber.hpp"

#include <map>

namespace sample {

namespace ms = mission_signals;

void add_receiver_flags(CLI::App& app, ms::options& o) {
    app.add_option("--issuer", o.issuer, "The transmitter's issuer")->required();
    app.add_option("--ca-file", o.ca_file, "PEM file of trusted authorities");
    app.add_option("--client-id", o.client_id, "Our name at the transmitter")->required();
    app.add_option("--private-key", o.private_key_file, "PEM file, for private_key_jwt")
        ->required();
    app.add_option("--audience", o.audience, "What we are called in authorization_details");
    app.add_option("--state", o.state_path, "SQLite file of the receiver's state")->required();
}

ms::log_function log_to_lines(std::string program) {
    return [program = std::move(program)](ms::log_level level, std::string_view message,
                                          const std::vector<ms::log_field>& fields) {
        if (level == ms::log_level::debug) return;
        auto line = event_line(program, "receiver");
        line.add("level", level == ms::log_level::info      ? "info"
                          : level == ms::log_level::warning ? "warning"
                                                            : "error");
        line.add("message", message);
        for (const auto& f : fields)
            line.add(f.name, std::string_view(f.value));
        log_line(line);
    };
}

void add_view_routes(web_server& server, ms::receiver& receiver) {
    server.Get(R"(/missions/([A-Za-z0-9_-]+))",
               [&receiver](const httplib::Request& request, httplib::Response& response) {
                   const auto view = receiver.missions().view(request.matches[1].str());
                   if (!view) return refuse(response, 404, "unknown", "never heard of it");
                   json_object body;
                   body.add("mission", view->id)
                       .add("standing", ms::name(view->now.what))
                       .add("state", view->state)
                       .add("version", view->now.version)
                       .add("reason", view->now.reason());
                   answer(response, 200, body);
               });
    server.Get("/healthz", [&receiver](const httplib::Request&, httplib::Response& response) {
        const auto s = receiver.current_status();
        json_object body;
        body.add("streaming", s.streaming)
            .add("stream_id", s.stream_id)
            .add("tasks_pending", static_cast<std::int64_t>(s.tasks_pending))
            .add("sets_received", static_cast<std::int64_t>(s.sets_received))
            .add("problem", receiver.last_setup_problem());
        answer(response, s.streaming ? 200 : 503, body);
    });
}

void log_changes(ms::receiver& receiver, const std::string& program) {
    receiver.on_change([program](const ms::mission_view& view, ms::effect why) {
        log_line(event_line(program, "change")
                     .add("mission", view.id)
                     .add("version", view.now.version)
                     .add("effect", ms::name(why))
                     .add("reason", view.now.reason()));
    });
}

json_object refusal_body(const ms::answer& a, const std::string& mission) {
    json_object body;
    body.add("error", "mission_not_permitted")
        .add("state", ms::name(a.what))
        .add("reason", a.reason())
        .add("mission", mission)
        .add("version", a.version);
    return body;
}

}  // namespace sample
