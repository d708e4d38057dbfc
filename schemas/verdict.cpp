#include "schemas/detail/verdict.hpp"

namespace mission::schemas::detail {

result<void> judge(const rj::SchemaDocument& rules, const json::value& text, const json::value& v) {
    rj::SchemaValidator validator(rules);
    if (v.Accept(validator)) return {};
    rj::StringBuffer place;
    validator.GetInvalidDocumentPointer().Stringify(place);
    std::string where(place.GetString(), place.GetSize());
    // The pointer quotes the document: enough of it to find the place, not an echo of a body.
    if (where.size() > 128) where.resize(128);
    if (where.empty()) where = '/';
    const std::string keyword =
        validator.GetInvalidSchemaKeyword() ? validator.GetInvalidSchemaKeyword() : "invalid";
    std::string detail = where + ": " + keyword;
    if (keyword == "required") {
        // The validator says that something is missing; the schema says what.
        const auto* rule = validator.GetInvalidSchemaPointer().Get(text);
        const auto* object = validator.GetInvalidDocumentPointer().Get(v);
        const auto* names = rule ? json::find(*rule, "required") : nullptr;
        for (rj::SizeType i = 0; names && object && names->IsArray() && i < names->Size(); ++i) {
            if (json::find(*object, json::view((*names)[i])) == nullptr)
                detail.append(" ").append(json::view((*names)[i]));
        }
    }
    return error{errc::schema_violation, detail};
}

}  // namespace mission::schemas::detail
