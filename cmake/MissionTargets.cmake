# Flags and helpers every folder shares.

add_library(mission_flags INTERFACE)
target_include_directories(mission_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(mission_flags INTERFACE
    # A host's own RapidJSON never meets ours.
    RAPIDJSON_NAMESPACE=mission_rapidjson
    RAPIDJSON_HAS_STDSTRING=0)
target_compile_options(mission_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(MISSION_SANITIZE)
  target_compile_options(mission_flags INTERFACE -fsanitize=${MISSION_SANITIZE} -fno-omit-frame-pointer
      $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(mission_flags INTERFACE -fsanitize=${MISSION_SANITIZE})
endif()

find_program(MISSION_CCACHE ccache)
if(MISSION_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${MISSION_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${MISSION_CCACHE}")
endif()
find_program(MISSION_MOLD mold)
find_program(MISSION_LLD ld.lld)
if(MISSION_MOLD AND NOT MISSION_SANITIZE)
  add_link_options(-fuse-ld=mold)
elseif(MISSION_LLD)
  add_link_options(-fuse-ld=lld)
endif()

# mission_library(NAME SOURCES a.cpp ... LINK x y PRIVATE_LINK z)
function(mission_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(mission_${name} STATIC ${A_SOURCES})
  target_link_libraries(mission_${name} PUBLIC mission_flags ${A_LINK} PRIVATE ${A_PRIVATE_LINK})
endfunction()

# mission_test(NAME SOURCES a.cpp ... LINK x y [LABELS l] [TIMEOUT s]): a doctest program, one ctest.
# doctest's main is compiled once for all of them.
function(mission_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT TARGET mission_doctest_main)
    add_library(mission_doctest_main STATIC "${PROJECT_SOURCE_DIR}/tests/main.cpp")
    target_link_libraries(mission_doctest_main PUBLIC mission_flags)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(test_${name} ${A_SOURCES})
  target_link_libraries(test_${name} PRIVATE mission_doctest_main ${A_LINK})
  # Assertions expand to much code that runs once: not worth optimising.
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Debug>:-O0>)
  target_compile_definitions(test_${name} PRIVATE DOCTEST_CONFIG_SUPER_FAST_ASSERTS)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()
