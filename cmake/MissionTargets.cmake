# Flags and helpers every folder shares.

add_library(mission_flags INTERFACE)
target_include_directories(mission_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(mission_flags INTERFACE
    # A host's own RapidJSON never meets ours.
    RAPIDJSON_NAMESPACE=mission_rapidjson
    RAPIDJSON_HAS_STDSTRING=0)
target_compile_options(mission_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
    # gcc 12 is wrong about the moves of a variant (result<T>), of precompiled headers above all.
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-array-bounds;-Wno-restrict>"
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow;-Wno-stringop-overread>")
if(MISSION_SANITIZE)
  target_compile_options(mission_flags INTERFACE -fsanitize=${MISSION_SANITIZE} -fno-omit-frame-pointer
      $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>
      # Clang 14 puts data before functions for it, which coroutines do not expect.
      $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>)
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

# What all test programs are compiled with, alike, so that they share their precompiled headers.
function(mission_test_options target)
  # Assertions expand to much code that runs once: not worth optimising.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Debug>:-O0>)
  target_compile_definitions(${target} PRIVATE DOCTEST_CONFIG_SUPER_FAST_ASSERTS)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
endfunction()

# mission_test(NAME SOURCES a.cpp ... LINK x y [LABELS l] [TIMEOUT s] [OPTIMISED]): a doctest program, one ctest.
# doctest's main is compiled once for all of them.
function(mission_test name)
  cmake_parse_arguments(A "OPTIMISED" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT TARGET mission_doctest_main)
    add_library(mission_doctest_main STATIC "${PROJECT_SOURCE_DIR}/tests/main.cpp"
                                            "${PROJECT_SOURCE_DIR}/tests/precompiled.cpp")
    set_source_files_properties("${PROJECT_SOURCE_DIR}/tests/main.cpp"
        PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    target_link_libraries(mission_doctest_main PUBLIC mission_flags)
    mission_test_options(mission_doctest_main)
    target_precompile_headers(mission_doctest_main PRIVATE "${PROJECT_SOURCE_DIR}/tests/precompiled.hpp")
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(test_${name} ${A_SOURCES})
  target_link_libraries(test_${name} PRIVATE mission_doctest_main ${A_LINK})
  mission_test_options(test_${name})
  if(A_OPTIMISED)
    target_compile_options(test_${name} PRIVATE -O1)
  else()
    target_precompile_headers(test_${name} REUSE_FROM mission_doctest_main)
  endif()
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()
