// The broker's door to a database: login roles that live as long as the mission they are made for.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "samples/common/service.hpp"
#include "samples/pam_broker/role_database.hpp"

namespace sample {

// Order matters. The role's name is held, durably, before there is a role; the role is made without
// LOGIN; the mission is looked at once more; then the role may log in, and is handed out. A crash
// anywhere leaves what nobody can log in as, and a hold that has it dropped with its mission.
//
// THREAD: every method from any thread.
class role_desk {
  public:
    role_desk(mission_signals::receiver& receiver, role_database& database, std::string audience)
        : receiver_(receiver), database_(database), audience_(std::move(audience)) {}

    // POST /roles {"mission_id","secret"}: 201 with role, password, host, port, dbname.
    void add_to(web_server& server);
    // The mission is permitted: the password is good for longer.
    void renew(httplib::Response& response, const std::string& mission, const std::string& role,
               const mission_signals::answer& standing);
    // A task of a held role: suspend, continue, drop. Logs its evidence.
    mission_signals::outcome settle(const mission_signals::task& t);

  private:
    class making;
    void issue(const httplib::Request& request, httplib::Response& response);
    void take_back(const std::string& mission, const std::string& role);
    bool is_being_made(const std::string& role) const;

    mission_signals::receiver& receiver_;
    role_database& database_;
    const std::string audience_;
    mutable std::mutex lock_;
    std::set<std::string> being_made_;
};

}  // namespace sample
