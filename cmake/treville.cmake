# treville_module(name SOURCES ... DEPS ... TESTS ...) declares one folder of src/ as the library treville_<name>.
#   DEPS are the only libraries it may include from, TESTS are GoogleTest files beside the code; together they
#   become the program <name>_test, each test case a ctest entry.
function(treville_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wpedantic)
  if(TREVILLE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(TREVILLE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${TREVILLE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${TREVILLE_SANITIZE})
  endif()
endfunction()

# treville_simd(target) is for code that Highway compiles once per SIMD target. Highway compiles its newest x86 target
# only when asked. The vectors of SVE have no size until run time and cannot be members, as in the register tiles: there
# NEON runs, whose target has AES, and GCC gives constructors of its own making the baseline's instructions only.
function(treville_simd target)
  target_compile_definitions(${target} PRIVATE
    HWY_WANT_AVX3_DL "HWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")
  if(TREVILLE_FUZZ)  # parsers are fuzzed; clang needs many minutes for a kernel with sanitizers
    target_compile_definitions(${target} PRIVATE HWY_COMPILE_ONLY_STATIC)
    target_compile_options(${target} PRIVATE -fno-sanitize=all)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    target_compile_options(${target} PRIVATE -march=armv8-a+crypto)
  endif()
endfunction()

function(treville_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_DEPS} GTest::gtest GTest::gmock GTest::gtest_main rapidcheck)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE
    TREVILLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" TREVILLE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  treville_options(${name})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${T_TIMEOUT})
endfunction()

function(treville_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;LIBS;PRIVATE_LIBS;TESTS;TEST_DEPS" ${ARGN})
  add_library(treville_${name} STATIC ${M_SOURCES})
  target_include_directories(treville_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  foreach(dep ${M_DEPS})
    target_link_libraries(treville_${name} PUBLIC treville_${dep})
  endforeach()
  target_link_libraries(treville_${name} PUBLIC ${M_LIBS} fmt::fmt PRIVATE ${M_PRIVATE_LIBS} Threads::Threads)
  treville_options(treville_${name})
  if(M_TESTS)
    set(test_deps treville_${name})
    foreach(dep ${M_TEST_DEPS})
      list(APPEND test_deps treville_${dep})
    endforeach()
    treville_test(${name}_test SOURCES ${M_TESTS} DEPS ${test_deps})
  endif()
endfunction()
