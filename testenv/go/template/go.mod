module sealops.test/template

go 1.26
