# ft_sentencepiece: sentencepiece behind a C ABI, in a shared library that the engine opens with dlopen
# (RTLD_LOCAL), because its protobuf must not meet LibTorch's. Without sentencepiece there is no such
# library, and .model files give a typed error.

set(shim "${CMAKE_CURRENT_SOURCE_DIR}/native/core/text/sentencepiece_shim.cpp")
option(FT_SENTENCEPIECE "Read .model tokenizers with sentencepiece, where it is installed" ON)
if(NOT FT_SENTENCEPIECE OR NOT EXISTS "${shim}")
  return()
endif()

if(FT_SENTENCEPIECE_ROOT)
  add_library(ft_sentencepiece_dependency INTERFACE)
  target_include_directories(ft_sentencepiece_dependency INTERFACE "${FT_SENTENCEPIECE_ROOT}/include")
  target_link_libraries(ft_sentencepiece_dependency INTERFACE "${FT_SENTENCEPIECE_ROOT}/lib/libsentencepiece.a")
  file(STRINGS "${FT_SENTENCEPIECE_ROOT}/VERSION" sentencepiece_version LIMIT_COUNT 1)
else()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(SENTENCEPIECE QUIET IMPORTED_TARGET sentencepiece)
  endif()
  if(NOT SENTENCEPIECE_FOUND)
    message(STATUS "sentencepiece not found: .model tokenizers are left out (Debian: libsentencepiece-dev)")
    return()
  endif()
  add_library(ft_sentencepiece_dependency ALIAS PkgConfig::SENTENCEPIECE)
  set(sentencepiece_version "${SENTENCEPIECE_VERSION}")
endif()

add_library(ft_sentencepiece SHARED "${shim}")
target_link_libraries(ft_sentencepiece PRIVATE ft_sentencepiece_dependency ft_flags)
target_compile_definitions(ft_sentencepiece PRIVATE FT_SENTENCEPIECE_VERSION="${sentencepiece_version}")
set_target_properties(ft_sentencepiece PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN"
  LIBRARY_OUTPUT_DIRECTORY "${FT_OUTPUT_DIR}")
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_link_options(ft_sentencepiece PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed)
endif()
message(STATUS "sentencepiece ${sentencepiece_version}")
