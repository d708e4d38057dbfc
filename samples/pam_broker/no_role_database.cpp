// Of a broker that is built where libpq is not.
#include <stdexcept>

#include "samples/pam_broker/role_database.hpp"

namespace sample {

std::unique_ptr<role_database> make_role_database(role_database::settings) {
    throw std::runtime_error("--postgres: this broker was built without libpq");
}

}  // namespace sample
