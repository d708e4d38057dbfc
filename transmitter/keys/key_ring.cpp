#include "transmitter/keys/key_ring.hpp"

#include <algorithm>
#include <filesystem>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/keys/private_file.hpp"

// A folder holds PKCS#8 files named ROLE-ALG[-anything].pem. `current` signs; `next` and `retained`
// are published only: receivers know a key before its first signature and after its last.

namespace mission::transmitter {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view status_typ = "mission-status-response+jwt";
constexpr std::string_view roles[] = {"current", "next", "retained"};

struct loaded_key {
    std::string role, file;
    jose::private_key key;
};

std::string key_file(const std::string& directory, std::string_view role, jose::alg a) {
    return directory + "/" + std::string(role) + "-" + std::string(jose::name(a)) + ".pem";
}

// "current-ES256.pem" -> ("current", ES256); nullopt for a file that is none of ours.
std::optional<std::pair<std::string, jose::alg>> parse_file_name(const std::string& name) {
    if (!name.ends_with(".pem")) return std::nullopt;
    const auto first = name.find('-');
    if (first == std::string::npos) return std::nullopt;
    const std::string role = name.substr(0, first);
    if (std::find(std::begin(roles), std::end(roles), role) == std::end(roles)) return std::nullopt;
    const auto rest = name.substr(first + 1, name.size() - first - 1 - 4);
    const auto a = jose::parse_alg(rest.substr(0, rest.find('-')));
    if (!a) return std::nullopt;
    return std::pair{role, *a};
}

result<jose::private_key> load_key(const std::string& file, jose::alg a) {
    const auto pem = read_private_file(file);
    if (!pem) return pem.error();
    auto key = jose::private_key::from_pem(*pem, a);
    if (!key) return error{key.error().code, file + ": " + key.error().message()};
    if (key->algorithm() != a)
        return error{errc::key_malformed, file + ": holds no key for " + std::string(name(a))};
    return key;
}

result<void> make_missing(const std::string& directory, jose::alg a) {
    const std::string file = key_file(directory, "current", a);
    std::error_code ignored;
    if (fs::exists(file, ignored)) return {};
    const auto key = jose::private_key::generate(a);
    if (!key) return key.error();
    return write_private_file(file, key->to_pem());
}

result<std::vector<loaded_key>> load_folder(const std::string& directory) {
    std::error_code failed;
    std::vector<std::string> names;
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
         it.increment(failed))
        names.push_back(it->path().filename().string());
    if (failed)
        return error{errc::key_unreadable, directory + ": cannot be read: " + failed.message()};
    std::sort(names.begin(), names.end());
    std::vector<loaded_key> keys;
    for (const auto& name : names) {
        const auto what = parse_file_name(name);
        if (!what) continue;
        const std::string file = directory + "/" + name;
        auto key = load_key(file, what->second);
        if (!key) return key.error();
        keys.push_back({what->first, file, std::move(*key)});
    }
    return keys;
}

class folder_key_ring final : public key_ring {
  public:
    folder_key_ring(jose::private_key es256, jose::private_key rs256, std::string jwks)
        : es256_(es256, "secevent+jwt"),
          rs256_(std::move(rs256), "secevent+jwt"),
          status_(std::move(es256), status_typ),
          jwks_(std::move(jwks)) {}

    const jose::signer& set_signer(jose::alg a) const override {
        return a == jose::alg::rs256 ? rs256_ : es256_;
    }
    const jose::signer& status_signer() const override { return status_; }
    const std::string& jwks_json() const override { return jwks_; }

  private:
    jose::signer es256_, rs256_, status_;
    std::string jwks_;
};

}  // namespace

result<std::unique_ptr<key_ring>> open_key_ring(const std::string& directory) {
    if (auto made = make_private_folder(directory); !made) return made.error();
    for (const auto a : {jose::alg::es256, jose::alg::rs256})
        if (auto made = make_missing(directory, a); !made) return made.error();
    auto keys = load_folder(directory);
    if (!keys) return keys.error();

    jose::key_set published;
    const jose::private_key* current_es256 = nullptr;
    const jose::private_key* current_rs256 = nullptr;
    for (const auto& k : *keys) {
        published.add(k.key.to_public());
        if (k.role != "current") continue;
        if (k.key.algorithm() == jose::alg::es256) current_es256 = &k.key;
        if (k.key.algorithm() == jose::alg::rs256) current_rs256 = &k.key;
    }
    if (!current_es256 || !current_rs256)
        return error{errc::key_unreadable, directory + ": a current key has disappeared"};
    return std::unique_ptr<key_ring>(
        new folder_key_ring(*current_es256, *current_rs256, published.to_json()));
}

std::string issuer_folder(std::string_view issuer_url) {
    std::string out;
    const auto scheme_end = issuer_url.find("://");
    const auto readable =
        scheme_end == std::string_view::npos ? issuer_url : issuer_url.substr(scheme_end + 3);
    for (const char c : readable.substr(0, 64)) {
        const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || (c == '.' && !out.empty());
        out += safe ? c : '_';
    }
    return out + "-" + jose::base64url_encode(jose::view(jose::sha256(issuer_url)).substr(0, 6));
}

result<std::string> load_secret_key(const std::string& file) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
        const auto folder = fs::path(file).parent_path().string();
        if (!folder.empty())
            if (auto made = make_private_folder(folder); !made) return made.error();
        if (auto written = write_private_file(file, jose::random_id(32) + "\n"); !written)
            return written.error();
    }
    const auto text = read_private_file(file);
    if (!text) return text.error();
    std::string_view trimmed = *text;
    while (!trimmed.empty() && (trimmed.back() == '\n' || trimmed.back() == '\r'))
        trimmed.remove_suffix(1);
    auto key = jose::base64url_decode(trimmed);
    if (!key || key->size() != 32)
        return error{errc::key_malformed, file + ": is not 32 octets in base64url"};
    return key;
}

result<std::vector<key_listing>> list_keys(const std::string& directory) {
    const auto keys = load_folder(directory);
    if (!keys) return keys.error();
    std::vector<key_listing> out;
    for (const auto& k : *keys)
        out.push_back({k.key.kid(), std::string(jose::name(k.key.algorithm())), k.role, k.file});
    return out;
}

}  // namespace mission::transmitter
