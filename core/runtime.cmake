# libplimsoll_runtime.so: pools of KV pages, memory and ops of a device, loader, executor, generation. A host that only plans links nothing
# of it. Included by CMakeLists.txt.
find_path(PLIMSOLL_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas-pthread openblas REQUIRED)
find_library(PLIMSOLL_OPENBLAS openblas PATH_SUFFIXES openblas-pthread REQUIRED)
find_library(PLIMSOLL_PCRE2 pcre2-8 REQUIRED)
find_library(PLIMSOLL_UTF8PROC utf8proc REQUIRED)
set(PLIMSOLL_RUNTIME_LIBRARIES ${PLIMSOLL_OPENBLAS} ${PLIMSOLL_PCRE2} ${PLIMSOLL_UTF8PROC})

add_rooms(plimsoll_runtime_objects ${PLIMSOLL_RUNTIME_SOURCES})
target_include_directories(plimsoll_runtime_objects SYSTEM PRIVATE ${PLIMSOLL_CBLAS_INCLUDE})
target_link_libraries(plimsoll_runtime_objects PRIVATE ${PLIMSOLL_RUNTIME_LIBRARIES})
if(PLIMSOLL_PCH)
  target_precompile_headers(plimsoll_runtime_objects REUSE_FROM plimsoll_objects)
endif()

add_library(plimsoll_runtime SHARED $<TARGET_OBJECTS:plimsoll_runtime_objects> $<TARGET_OBJECTS:plimsoll_file_objects>)
target_include_directories(plimsoll_runtime PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(plimsoll_runtime PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PLIMSOLL_SOVERSION} INSTALL_RPATH "$ORIGIN")
target_link_libraries(plimsoll_runtime PUBLIC plimsoll PRIVATE fmt::fmt yaml-cpp simdjson::simdjson Threads::Threads ${PLIMSOLL_RUNTIME_LIBRARIES})

# The rooms of both libraries, for unit tests.
add_library(plimsoll_runtime_rooms INTERFACE)
target_sources(plimsoll_runtime_rooms INTERFACE $<TARGET_OBJECTS:plimsoll_runtime_objects>)
target_link_libraries(plimsoll_runtime_rooms INTERFACE plimsoll_rooms ${PLIMSOLL_RUNTIME_LIBRARIES})
