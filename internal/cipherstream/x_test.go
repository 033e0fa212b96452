package cipherstream
import "testing"
func BenchmarkMul(b *testing.B){ x:=field128{3,5}; y:=field128{0xdeadbeef12345678,77}; for b.Loop(){ x=x.mul(y)} ; if x.hi==1 {b.Fatal()}}
func BenchmarkInv(b *testing.B){ x:=field128{3,5}; for b.Loop(){ x=x.inverse()} ; if x.hi==1 {b.Fatal()}}
