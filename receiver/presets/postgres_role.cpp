// The postgres_role handler: the role may no longer log in, its sessions are ended, and the catalog
// is looked at until it says so.
#include "mission_signals/presets.hpp"
#include "receiver/presets/pg_session.hpp"
#include "receiver/presets/secret.hpp"

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;

// NAMEDATALEN - 1: a longer name would be cut, and be another.
constexpr std::size_t name_bytes = 63;

// For people; names may hold anything but NUL.
std::string shown(const std::string& role) {
    std::string out = "role \"";
    for (const char c : role)
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return out + "\"";
}

class ending {
  public:
    ending(const postgres_role& o, const task& t)
        : o_(o), task_(t), time_(o.timeout, o.stopping), role_(o.role.fill(t)) {}

    outcome run() {
        if (auto no = refuse_name()) return outcome::failed(*no);
        try {
            pg_session db(o_.connection, o_.password.empty() ? "" : read_secret(o_.password),
                          time_);
            return act(db);
        } catch (const pg_too_late& e) {
            return time_.gave_up(so_far() + e.what());
        } catch (const pg_error& e) {
            const auto text = so_far() + e.what() + (e.state.empty() ? "" : " [" + e.state + "]");
            return e.lost ? outcome{outcome_kind::unknown, text} : outcome::failed(text);
        }
    }

  private:
    std::string so_far() const { return shown(role_) + ": " + did_; }

    // What can be said without asking.
    std::optional<std::string> refuse_name() const {
        if (role_.empty()) return "the role's name is empty";
        if (role_.size() > name_bytes) return "the role's name is longer than 63 octets";
        if (role_.find('\0') != std::string::npos) return "the role's name holds a NUL";
        if (role_.starts_with("pg_")) return shown(role_) + ": PostgreSQL's own, refused";
        if (!role_.starts_with(o_.prefix))
            return shown(role_) + " does not begin with \"" + o_.prefix + "\": refused";
        return std::nullopt;
    }

    outcome act(pg_session& db) {
        const auto found = db.query(
            "SELECT oid, rolsuper, rolname IN (current_user, session_user) FROM "
            "pg_catalog.pg_roles "
            "WHERE rolname = $1",
            {role_});
        if (found.empty()) return outcome::done(shown(role_) + ": not in pg_roles");
        const auto& oid = found[0][0];
        if (found[0][1] == "t") return outcome::failed(shown(role_) + ": a superuser, refused");
        if (found[0][2] == "t")
            return outcome::failed(shown(role_) + ": the one that we are connected as, refused");

        const auto name = db.quoted(role_);
        if (is_continue(task_.why)) {
            db.query("ALTER ROLE " + name + " LOGIN");
            did_ = "LOGIN, ";
            return outcome::done(so_far() + look(db, oid));
        }
        db.query("ALTER ROLE " + name + " NOLOGIN");
        did_ = "NOLOGIN, ";
        if (!end_sessions(db, oid)) return time_.gave_up(so_far() + "sessions are left");
        if (is_end(task_.why) && o_.drop) return drop(db, name, oid);
        return outcome::done(so_far() + look(db, oid));
    }

    // A backend checks LOGIN a moment before pg_stat_activity shows it: one that was let in just
    // before NOLOGIN may appear after the first look. Hence two looks without one, apart.
    bool end_sessions(pg_session& db, const std::string& oid) {
        std::size_t ended = 0;
        bool clean = false;
        while (true) {
            const auto rows = db.query(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                "WHERE usesysid = $1::oid "
                "AND pid <> pg_catalog.pg_backend_pid()",
                {oid});
            if (rows.empty() && clean) break;
            clean = rows.empty();
            ended = std::max(ended, rows.size());
            did_ = "NOLOGIN, " + counted(ended, "session") + " terminated, ";
            using std::chrono::milliseconds;
            if (!time_.wait(clean ? o_.settle : milliseconds(20))) return false;
        }
        did_ += "none in pg_stat_activity on two looks " + std::to_string(o_.settle.count()) +
                " ms apart, ";
        return true;
    }

    outcome drop(pg_session& db, const std::string& name, const std::string& oid) {
        if (!o_.reassign_to.empty()) {
            db.query("REASSIGN OWNED BY " + name + " TO " + db.quoted(o_.reassign_to));
            did_ += "owned objects reassigned, ";
        }
        db.query("DROP OWNED BY " + name);
        db.query("DROP ROLE " + name);
        did_ += "dropped, ";
        if (!db.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", {role_}).empty())
            return outcome::failed(so_far() + "a role of this name is there again");
        // A session that outlived its role would be one that nobody can name any more.
        if (!db.query("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE usesysid = $1::oid", {oid})
                 .empty())
            return outcome::failed(so_far() + "a session of it is still there");
        return outcome::done(so_far() + "not in pg_roles");
    }

    std::string look(pg_session& db, const std::string& oid) {
        const auto rows =
            db.query("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE oid = $1::oid", {oid});
        if (rows.empty()) return "not in pg_roles";
        return std::string("pg_roles says rolcanlogin ") + (rows[0][0] == "t" ? "true" : "false");
    }

    const postgres_role& o_;
    const task& task_;
    const patience time_;
    const std::string role_;
    std::string did_;
};

}  // namespace

handler postgres_role_handler(postgres_role o) {
    if (o.connection.empty()) throw setup_error("a postgres_role handler needs a connection");
    if (o.role.empty()) throw setup_error("the role's template is empty");
    if (!o.reassign_to.empty() && !o.drop) throw setup_error("reassign_to belongs to drop");
    return [o = std::move(o)](const task& t) {
        return run_when_it_acts(t, [&] { return ending(o, t).run(); });
    };
}

}  // namespace mission_signals
