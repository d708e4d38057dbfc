#include "tools/missionctl/answers.hpp"
#include "tools/missionctl/print.hpp"

// mission tree: a family as the registry holds it, drawn from one mission downwards.

namespace mission::tools {
namespace {

// More would be no picture: the rest of a family is told by its number of lines.
constexpr std::size_t most_missions = 10'000;

struct walk {
    session& to;
    std::size_t seen = 0;
    bool cut = false;
};

result<json::document> get_mission(session& to, const std::string& id) {
    auto reply = to.call("GET", "/missions/" + id, {}, "mission.read", true);
    if (!reply) return reply.error();
    return std::move(reply->body);
}

// {"mission": .., "children": [..]}, children in the order of their approval.
result<json::value> node(walk& w, const json::value& mission, json::document& into) {
    auto& a = into.GetAllocator();
    json::value out(RAPIDJSON_NAMESPACE::kObjectType), children(RAPIDJSON_NAMESPACE::kArrayType);
    const std::string id(json::find_string(mission, "mission_id").value_or(""));
    std::string cursor;
    do {
        form_fields query{{"parent", id}, {"limit", "1000"}};
        if (!cursor.empty()) query.emplace_back("cursor", cursor);
        auto page =
            w.to.call("GET", "/missions?" + net::encode_form(query), {}, "mission.read", true);
        if (!page) return page.error();
        const auto* list = json::find(page->body, "missions");
        if (!list || !list->IsArray()) return error{errc::bad_response, "a page without missions"};
        for (const auto& child : list->GetArray()) {
            if (++w.seen > most_missions) {
                w.cut = true;
                break;
            }
            auto below = node(w, child, into);
            if (!below) return below.error();
            children.PushBack(*below, a);
        }
        cursor = json::find_string(page->body, "next_cursor").value_or("");
    } while (!cursor.empty() && !w.cut);
    json::add(out, "mission", json::value(mission, a), a);
    json::add(out, "children", std::move(children), a);
    return result<json::value>(std::move(out));
}

}  // namespace

result<shown> tree(const invocation& typed, session& to) {
    auto top = get_mission(to, typed.id);
    if (!top) return top.error();
    // Up to where the approval began, or as far as this client is told.
    for (std::size_t steps = 0; typed.from_root && steps < most_missions; ++steps) {
        const auto parent = json::find_string(*top, "parent");
        if (!parent) break;
        auto above = get_mission(to, std::string(*parent));
        if (!above) return above.error();
        top = std::move(*above);
    }
    walk w{to, 1, false};
    json::document whole;
    auto drawn = node(w, *top, whole);
    if (!drawn) return drawn.error();
    std::string text = print_tree(*drawn, typed.id);
    if (w.cut) text += "... and more: only the first " + std::to_string(most_missions) + "\n";
    return shown{json::write(*drawn), std::move(text), 0};
}

}  // namespace mission::tools
