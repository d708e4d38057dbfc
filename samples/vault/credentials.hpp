// The vault's credentials: what each opens, until when, and what became of it.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace sample {

// THREAD: every method from any thread.
class credential_store {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    enum class state { open, disabled, destroyed };
    struct credential {
        std::string id, mission, secret_name;
        state now = state::open;
        std::string why;  // "mission completed": of the last disabling or destruction
        time_point expires{};
    };

    // False when the id is taken, also by a destroyed one. `token` is what opens the secret.
    bool create(credential c, const std::string& token);
    enum class change { done, unknown, already_destroyed };
    change disable(const std::string& id, const std::string& why);
    change enable(const std::string& id);
    change renew(const std::string& id, time_point expires);
    // Keeps a tombstone, so that a refusal can say why, and so that a creation that comes late (a
    // broker's retry) cannot bring the credential back. Unknown ids get one as well.
    void destroy(const std::string& id, const std::string& why);

    std::optional<credential> find_by_token(const std::string& token) const;
    std::size_t open_count() const;

  private:
    mutable std::mutex lock_;
    std::map<std::string, credential, std::less<>> by_id_;
    std::map<std::string, std::string, std::less<>> id_by_token_;
};

}  // namespace sample
