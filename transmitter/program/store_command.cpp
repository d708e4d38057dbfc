#include "transmitter/program/store_command.hpp"

#include "store/copy.hpp"

namespace mission::transmitter {
namespace {

result<std::string> copy(const config& settings, const std::string& to) {
    const auto made = store::copy_store(settings.store_url, to);
    if (!made) return made.error();
    std::string out = made->path + ": everything committed up to seq " +
                      std::to_string(made->head) + " (" + std::to_string(made->missions) +
                      " missions, " + std::to_string(made->streams) + " streams)";
    if (made->last_commit != wall_time{}) out += ", the last at " + to_rfc3339(made->last_commit);
    return out + "; " + std::to_string(made->bytes) + " octets, checked and on the disk at " +
           to_rfc3339(made->copied_at) + "\n";
}

result<std::string> restored(const config& settings) {
    const auto history = store::declare_restored(settings.store_url);
    if (!history) return history.error();
    return settings.store_url + ": goes on after seq " + std::to_string(history->head) +
           " under the log_epoch " + history->log_epoch + "; every receiver will ask Status anew\n";
}

}  // namespace

result<std::string> store_command(const config& settings, const store_request& request) {
    return request.what == store_request::kind::copy ? copy(settings, request.to)
                                                     : restored(settings);
}

}  // namespace mission::transmitter
