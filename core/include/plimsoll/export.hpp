// What libplimsoll.so exports; everything else is hidden.
#pragma once
#define PLIMSOLL_API __attribute__((visibility("default")))
