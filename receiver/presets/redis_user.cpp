// The redis_user handler: the user is off (or gone), its connections are killed, and CLIENT LIST is
// looked at until it shows none of them.
#include "mission_signals/presets.hpp"
#include "receiver/presets/redis_session.hpp"
#include "receiver/presets/secret.hpp"

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;

constexpr std::size_t name_bytes = 256;

// One line for each connection, "id=3 addr=.. user=name ..": values hold neither spaces nor lines.
std::size_t connections_of(const std::string& list, const std::string& user) {
    const auto wanted = "user=" + user;
    std::size_t count = 0;
    for (std::size_t at = 0; at < list.size();) {
        const auto end = std::min(list.find_first_of(" \n", at), list.size());
        if (list.compare(at, end - at, wanted) == 0) ++count;
        at = end + 1;
    }
    return count;
}

class ending {
  public:
    ending(const redis_user& o, const task& t)
        : o_(o), task_(t), time_(o.timeout, o.stopping), user_(o.user.fill(t)) {}

    outcome run() {
        if (auto no = refuse_name()) return outcome::failed(*no);
        try {
            redis_session db(o_.address, o_.admin,
                             o_.password.empty() ? "" : read_secret(o_.password), time_);
            return act(db);
        } catch (const redis_too_late& e) {
            return time_.gave_up(so_far() + e.what());
        } catch (const redis_error& e) {
            const auto text = so_far() + e.what();
            return e.lost ? outcome{outcome_kind::unknown, text} : outcome::failed(text);
        }
    }

  private:
    std::string so_far() const { return "user \"" + user_ + "\": " + did_; }

    std::optional<std::string> refuse_name() const {
        if (user_.empty()) return "the user's name is empty";
        if (user_.size() > name_bytes) return "the user's name is too long";
        for (const char c : user_)
            if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
                return "the user's name holds a space or a control character";
        if (user_ == "default") return "user \"default\": refused";
        if (!user_.starts_with(o_.prefix))
            return "user \"" + user_ + "\" does not begin with \"" + o_.prefix + "\": refused";
        return std::nullopt;
    }

    outcome act(redis_session& db) {
        if (db.run({"ACL", "WHOAMI"}) == user_)
            return outcome::failed(so_far() + "the one that we are connected as, refused");
        const bool there = db.run({"ACL", "GETUSER", user_}).has_value();
        if (is_continue(task_.why)) {
            // SETUSER would make it anew.
            if (!there) return outcome::done(so_far() + "not known to ACL, nothing to turn on");
            db.run({"ACL", "SETUSER", user_, "on"});
            did_ = "on";
            save(db);
            return outcome::done(so_far());
        }
        const bool end = is_end(task_.why);
        if (there && end) {
            db.run({"ACL", "SETUSER", user_, "off", "resetpass", "resetkeys", "resetchannels",
                    "-@all"});
        } else if (there) {
            db.run({"ACL", "SETUSER", user_, "off"});
        }
        did_ = there ? "off, " : "not known to ACL, ";
        if (!end_connections(db)) return time_.gave_up(so_far() + "connections are left");
        if (end && there) {
            db.run({"ACL", "DELUSER", user_});
            if (db.run({"ACL", "GETUSER", user_}))
                return outcome::failed(so_far() + "still known to ACL");
            did_ += ", deleted";
        }
        if (there) save(db);
        return outcome::done(so_far());
    }

    bool end_connections(redis_session& db) {
        std::size_t killed = 0;
        const auto before = did_;
        while (true) {
            const auto list = db.run({"CLIENT", "LIST"}).value_or("");
            const auto count = connections_of(list, user_);
            killed = std::max(killed, count);
            did_ = before + counted(killed, "connection") + " killed, ";
            if (count == 0) break;
            db.run({"CLIENT", "KILL", "USER", user_});
            if (!time_.wait(std::chrono::milliseconds(5))) return false;
        }
        did_ += "none in CLIENT LIST";
        return true;
    }

    void save(redis_session& db) {
        if (!o_.acl_save) return;
        db.run({"ACL", "SAVE"});
        did_ += ", ACL saved";
    }

    const redis_user& o_;
    const task& task_;
    const patience time_;
    const std::string user_;
    std::string did_;
};

}  // namespace

handler redis_user_handler(redis_user o) {
    if (!o.address.starts_with("unix:")) (void)redis_host_port(o.address);
    if (o.address == "unix:") throw setup_error("the address of Redis names no socket");
    if (o.user.empty()) throw setup_error("the user's template is empty");
    if (!o.admin.empty() && o.password.empty()) throw setup_error("admin needs a password");
    return [o = std::move(o)](const task& t) {
        return run_when_it_acts(t, [&] { return ending(o, t).run(); });
    };
}

}  // namespace mission_signals
