// Schemas are compiled in the tests as they are in the service: this must come before whatever makes one.
import "effect/schema/SchemaJITCompiler/enable"
