// One file, WAL, one writing process. Rows outlive the process and the power.
#pragma once

#include <memory>
#include <string>

#include "store/engine/backend.hpp"

namespace mission::store::sqlite {

// Makes the folder (0700) and the file (0600), takes PATH.lock, migrates. Errors name the file.
result<std::unique_ptr<engine::backend>> open_backend(const std::string& path,
                                                      const store_options& options);

}  // namespace mission::store::sqlite
