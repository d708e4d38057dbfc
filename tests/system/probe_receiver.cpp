// A host of the receiver library for the system tests: everything it learns goes to files that
// outlive its kills. Commands on standard input, answers on standard output, one line each.
//
//   hold ID NAME      -> {"held":true|false}
//   check ID          -> {"standing":"revoked","version":3}
//   list              -> {"missions":[{"id":..,"state":..,"version":..,"standing":..}]}
//   tasks             -> {"unfinished":N}
//   status            -> {"streaming":true,...}
//   quit
//
// Configuration through PROBE_* environment variables. The journal (PROBE_JOURNAL) is appended to
// with O_APPEND and fdatasync before anything goes on: "change ID VERSION STATE EFFECT" and
// "handler KEY ID VERSION EFFECT NAME".
#include <fcntl.h>
#include <unistd.h>
#include <mission_signals/receiver.hpp>

#include <cstdlib>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>

namespace ms = mission_signals;

namespace {

std::string setting(const char* name, std::string fallback = {}) {
    const char* value = std::getenv(name);
    return value ? value : fallback;
}

class journal {
  public:
    explicit journal(const std::string& path)
        : fd_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {
        if (fd_ < 0) throw std::runtime_error("cannot open journal " + path);
    }
    ~journal() { ::close(fd_); }
    void line(std::string text) {
        text += '\n';
        const std::lock_guard lock(mutex_);
        if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
            ::fdatasync(fd_) != 0)
            std::abort();  // a probe that cannot testify is of no use
    }

  private:
    std::mutex mutex_;
    int fd_;
};

std::string quoted(std::string_view s) {
    std::string out = "\"";
    for (const char c : s) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out += '"';
}

void answer(const std::string& line) {
    std::cout << line << std::endl;
}

}  // namespace

int main() try {
    journal log(setting("PROBE_JOURNAL", "journal"));
    ms::options o;
    o.issuer = setting("PROBE_ISSUER");
    o.ca_file = setting("PROBE_CA");
    o.client_id = setting("PROBE_CLIENT");
    o.private_key_file = setting("PROBE_KEY");
    o.state_path = setting("PROBE_STATE");
    o.description = "probe";
    if (setting("PROBE_DELIVERY") == "push") {
        o.delivery = ms::delivery::push;
        o.push_listen = setting("PROBE_LISTEN");
        o.push_certificate_file = setting("PROBE_CERT");
        o.push_private_key_file = setting("PROBE_CERT_KEY");
        o.push_public_url = setting("PROBE_PUBLIC_URL");
        o.push_authorization_header = "Bearer probe";
    }
    o.log = [](ms::log_level, std::string_view message, const std::vector<ms::log_field>& fields) {
        std::string text(message);
        for (const auto& f : fields)
            text.append(" ").append(f.name).append("=").append(f.value);
        std::cerr << text + "\n";
    };
    auto rx = ms::make_receiver(o);
    ms::handler_options h;
    h.name = "ledger";
    h.on = ms::terminal_effects();
    h.retry_first = std::chrono::milliseconds(20);
    rx->on_effect(h, [&](const ms::task& t) {
        log.line("handler " + t.idempotency_key + " " + t.mission_id + " " +
                 std::to_string(t.version) + " " + std::string(ms::name(t.why)) + " " + t.name);
        return ms::outcome::done("journalled");
    });
    rx->on_change([&](const ms::mission_view& v, ms::effect e) {
        log.line("change " + v.id + " " + std::to_string(v.log_version) + " " + v.state + " " +
                 std::string(ms::name(e)));
    });
    rx->start();
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string verb, id, name;
        words >> verb >> id >> name;
        if (verb == "hold") {
            answer(rx->hold(id, name, "probe") ? R"({"held":true})" : R"({"held":false})");
        } else if (verb == "check") {
            const auto a = rx->missions().check(id);
            answer("{\"standing\":" + quoted(ms::name(a.what)) +
                   ",\"version\":" + std::to_string(a.version) + "}");
        } else if (verb == "resolve") {
            const auto a = rx->missions().resolve(id);
            answer("{\"standing\":" + quoted(ms::name(a.what)) +
                   ",\"version\":" + std::to_string(a.version) + "}");
        } else if (verb == "list") {
            std::string out;
            for (const auto& v : rx->missions().list(1'000'000)) {
                if (!out.empty()) out += ',';
                out += "{\"id\":" + quoted(v.id) + ",\"state\":" + quoted(v.state) +
                       ",\"version\":" + std::to_string(v.log_version) +
                       ",\"standing\":" + quoted(ms::name(v.now.what)) + "}";
            }
            answer("{\"missions\":[" + out + "]}");
        } else if (verb == "tasks") {
            answer("{\"unfinished\":" + std::to_string(rx->tasks(true).size()) + "}");
        } else if (verb == "status") {
            const auto s = rx->current_status();
            answer(std::string("{\"streaming\":") + (s.streaming ? "true" : "false") +
                   ",\"rejected\":" + std::to_string(s.sets_rejected) +
                   ",\"problem\":" + quoted(rx->last_setup_problem()) +
                   ",\"push_port\":" + std::to_string(rx->push_port()) + "}");
        } else if (verb == "quit") {
            break;
        } else {
            answer(R"({"error":"unknown command"})");
        }
    }
    rx->stop();
    return 0;
} catch (const std::exception& e) {
    std::cerr << "probe_receiver: " << e.what() << "\n";
    return 1;
}
