#include <jwt/jwt.hpp>

#include "bench/token/yardsticks.hpp"

namespace mission::bench {
namespace {

class beside final : public cpp_jwt {
  public:
    explicit beside(const jose::private_key& key)
        : alg_(jose::name(key.algorithm())),
          secret_(key.to_pem()),
          public_(key.to_public().to_pem()) {}

    std::string sign(const std::string& claims_json) override {
        using namespace jwt::params;
        jwt::jwt_object token{algorithm(alg_), secret(secret_)};
        const auto claims = nlohmann::json::parse(claims_json);
        for (const auto& [name, value] : claims.items())
            token.add_claim(name, value);
        return token.signature();
    }
    bool verify(const std::string& token) override {
        using namespace jwt::params;
        std::error_code ec;
        const auto decoded =
            jwt::decode(token, algorithms({alg_}), ec, secret(public_), jwt::params::verify(true));
        return !ec && decoded.payload().has_claim("jti");
    }

  private:
    std::string alg_, secret_, public_;
};

}  // namespace

std::unique_ptr<cpp_jwt> make_cpp_jwt(const jose::private_key& key) {
    return std::make_unique<beside>(key);
}

}  // namespace mission::bench
