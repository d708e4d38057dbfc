// mission-receiver: command line and exit status. What it does is in the files beside it.

#include <csignal>
#include <exception>
#include <iostream>

#include "receiver/program/command_line.hpp"
#include "receiver/program/commands.hpp"

namespace {

using namespace mission;
using namespace mission::receiver::program;

// Each on a line of its own, the good on standard output, the others on standard error.
int check_configs(const invocation& typed) {
    auto files = typed.more_files;
    files.insert(files.begin(), typed.config_file);
    int status = 0;
    for (const auto& file : files) {
        const auto config = load_config(file, settings::process_environment());
        if (config) {
            std::cout << file << ": good (" << config->teardown.size() << " teardown, "
                      << config->events.size() << " event handler(s))\n";
        } else {
            std::cerr << "mission-receiver: " << config.error().detail << "\n";
            status = 1;
        }
    }
    return status;
}

int run(const invocation& typed) {
    if (typed.what == verb::check_config) return check_configs(typed);
    const auto config = load_config(typed.config_file, settings::process_environment());
    if (!config) {
        std::cerr << "mission-receiver: " << config.error().detail << "\n";
        return 1;
    }
    switch (typed.what) {
        case verb::run:
            return run_receiver(*config, [&typed] {
                return load_config(typed.config_file, settings::process_environment());
            });
        case verb::check_config:
            break;  // above
        case verb::stream_create:
        case verb::stream_get:
        case verb::stream_list:
        case verb::stream_update:
        case verb::stream_replace:
        case verb::stream_delete:
        case verb::stream_status:
        case verb::stream_verify:
        case verb::stream_poll:
        case verb::stream_add_subject:
        case verb::stream_remove_subject:
            return run_stream(typed, *config);
        case verb::tasks_list:
        case verb::tasks_retry:
            return run_tasks(typed, *config);
        case verb::teardown_run:
            return run_teardown(typed, *config);
        case verb::status:
        case verb::check:
        case verb::hold:
        case verb::release:
        case verb::held:
            return run_instance(typed, *config);
    }
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    // A reader that has gone (`| head`) ends a write, not the program.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        const auto typed = parse_command_line({argv + 1, argv + argc});
        if (const auto* text = std::get_if<usage>(&typed)) {
            (text->status == 0 ? std::cout : std::cerr) << text->text;
            return text->status;
        }
        return run(std::get<invocation>(typed));
    } catch (const std::exception& e) {
        std::cerr << "mission-receiver: " << e.what() << "\n";
        return 1;
    }
}
