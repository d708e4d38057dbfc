// `store copy` of one database file: a snapshot of the source, page by page, into a file beside the
// target, which gets the target's name when it has been checked and is on the disk.
#pragma once

#include <string>

#include "store/copy.hpp"

namespace mission::store::sqlite {

result<copy_report> copy_file(const std::string& from, const std::string& to,
                              const store_options& options);

}  // namespace mission::store::sqlite
