#include "tools/missionctl/answers.hpp"

#include <fstream>
#include <istream>
#include <iterator>

namespace mission::tools {

void set(json::document& request, std::string_view name, json::value v) {
    auto& a = request.GetAllocator();
    request.RemoveMember(json::make_string(name, a));
    request.AddMember(json::make_string(name, a), v, a);
}

void set_text(json::document& request, std::string_view name, const std::string& text) {
    if (!text.empty()) set(request, name, json::make_string(text, request.GetAllocator()));
}

result<json::document> read_json(const std::string& file, std::istream& in) {
    std::string text;
    if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(in), {});
    } else {
        std::ifstream from(file, std::ios::binary);
        if (!from) return error{errc::io_error, "cannot read " + file};
        text.assign(std::istreambuf_iterator<char>(from), {});
    }
    auto parsed = json::parse(text);
    if (!parsed) return error{parsed.error().code, file + ": " + parsed.error().detail};
    return parsed;
}

result<shown> get(session& to, const std::string& path, std::string_view scopes, printer print) {
    auto reply = to.call("GET", path, {}, scopes, true);
    if (!reply) return reply.error();
    return shown{reply->text, print(reply->body), 0};
}

}  // namespace mission::tools
