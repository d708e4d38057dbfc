// A host with ready-made handlers: installed headers, and the client libraries that it asked for.
#include <mission_signals/presets.hpp>

#include <iostream>
#include <string>

using namespace mission_signals;

namespace {

void show(const std::string& what, const outcome& o) {
    std::cout << what << " = " << name(o.kind) << ", " << o.evidence << "\n";
}

}  // namespace

int main() {
    task t;
    t.why = effect::revoked;
    t.data = "agent_7";
    show("file", file_handler({.directory = "/", .path = "no-such-file-{data}"})(t));
    try {
        (void)file_handler({.directory = "/", .path = "{nobody}"});
    } catch (const setup_error& e) {
        std::cout << "template = setup_error, " << e.what() << "\n";
    }
#ifdef WITH_postgres
    show("postgres", postgres_role_handler({.connection = "host=127.0.0.1 port=1 user=x"})(t));
#endif
#ifdef WITH_redis
    show("redis", redis_user_handler({.address = "127.0.0.1:1"})(t));
#endif
}
